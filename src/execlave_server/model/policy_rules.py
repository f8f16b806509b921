"""The rule definition of each policy type: its keys as the platform prints them, and the limit of each."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

NAME_CHARS_MAX = 256  # of a tool, an agent, an environment, a source
NAMES_MAX = 500  # in one list; more is a sign that a wildcard is meant
PATTERNS_MAX = 100  # each is run over every text
PATTERN_CHARS_MAX = 1_000
EXPRESSION_CHARS_MAX = 4_096
MESSAGE_CHARS_MAX = 300
URL_CHARS_MAX = 2_048
USD_MAX = 1_000_000_000.0
COUNT_MAX = 1_000_000_000
RULE_DIGEST_CHARS = 64  # SHA-256 in hexadecimal
DAYS_MAX = 7

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Names = Annotated[tuple[Name, ...], Meta(max_length=NAMES_MAX)]
Patterns = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=PATTERN_CHARS_MAX)], ...], Meta(max_length=PATTERNS_MAX)
]
Usd = Annotated[float, Meta(ge=0, le=USD_MAX)]
Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Window(StrEnum):
    """Over how long a cap counts; `1mo` is the calendar month in UTC."""

    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"
    MONTH = "1mo"


class Scope(StrEnum):
    """Whose actions a cap counts together."""

    AGENT = "agent"
    ORGANIZATION = "org"


class Day(StrEnum):
    """A day of the week; the order is Python's `weekday()`."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """What every rule definition has in common: nothing but that unknown keys are refused."""


class InjectionScanRule(Rule, frozen=True):
    """Prompt injection. `patterns` are searched beside the built-in ones.

    `action` is the platform's older word for the enforcement mode; it may stand there but must not contradict it.
    """

    patterns: Patterns = ()
    action: Annotated[str, Meta(max_length=NAME_CHARS_MAX)] | None = None
    scan_input: bool = True
    scan_output: bool = True


class PiiAccessRule(Rule, frozen=True):
    """Personal data and credentials. Absent `denied_pii_types` means every kind."""

    denied_pii_types: Names | None = None
    mask_output: bool = False
    log_access: bool = False


class Hours(Rule, frozen=True):
    """A daily span of local time, `end` excluded. One that ends before it starts runs over midnight.

    A span belongs to the day on which it starts.
    """

    start: TimeOfDay
    end: TimeOfDay
    time_zone: Name = "UTC"
    days: Annotated[tuple[Day, ...], Meta(min_length=1, max_length=DAYS_MAX)] = tuple(Day)

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError("start and end are the same time; leave hours out to allow the whole day")


class AccessControlRule(Rule, frozen=True):
    """What may be used, where and when. `denied_tools` wins over `allowed_tools`; `*` stands for any characters."""

    allowed_tools: Names | None = None
    denied_tools: Names = ()
    environments: Names | None = None
    hours: Hours | None = None

    def __post_init__(self) -> None:
        if self.allowed_tools is None and not self.denied_tools and self.environments is None and self.hours is None:
            raise ValueError("needs at least one of allowed_tools, denied_tools, environments, hours")


class ActionApprovalRule(Rule, frozen=True):
    """Which actions are for a person to decide: those that name one of `tools` and cost at least `min_cost` USD."""

    tools: Names = ("*",)
    min_cost: Usd = 0.0


class CostLimitRule(Rule, frozen=True):
    """US dollars, of one action and of the agent's day (UTC)."""

    max_cost_per_execution: Usd | None = None
    daily_budget: Usd | None = None

    def __post_init__(self) -> None:
        if self.max_cost_per_execution is None and self.daily_budget is None:
            raise ValueError("needs max_cost_per_execution or daily_budget")


class BudgetCapRule(Rule, frozen=True):
    """US dollars that may be spent in a window."""

    cap_usd: Usd
    window: Window = Window.MONTH
    scope: Scope = Scope.AGENT


class RateLimitRule(Rule, frozen=True):
    """How many actions may be asked for in a window; with `tools`, only those that name one of them count."""

    max_requests: Count
    window: Window = Window.MINUTE
    scope: Scope = Scope.AGENT
    tools: Names = ()


class ExternalCallLimitRule(Rule, frozen=True):
    """How many calls of outside tools may be made in a window."""

    max_calls: Count
    window: Window = Window.HOUR
    scope: Scope = Scope.AGENT
    tools: Names = ("*",)


class DataRestrictionRule(Rule, frozen=True):
    """How many records an action may touch, and from which sources."""

    max_records: Count | None = None
    allowed_sources: Names | None = None
    denied_sources: Names = ()

    def __post_init__(self) -> None:
        if self.max_records is None and self.allowed_sources is None and not self.denied_sources:
            raise ValueError("needs at least one of max_records, allowed_sources, denied_sources")


class PinnedDescriptor(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A tool as it was reviewed, in the SDK's words."""

    server: Name
    tool: Name
    descriptor_hash: Annotated[str, Meta(pattern=rf"^[0-9a-f]{{{RULE_DIGEST_CHARS}}}$")]


class ToolIntegrityRule(Rule, frozen=True):
    """Tools must still be what was reviewed: by the pins here, and by the agent's reported baseline."""

    pinned: Annotated[tuple[PinnedDescriptor, ...], Meta(max_length=NAMES_MAX)] = ()
    use_baseline: bool = True
    allow_unpinned: bool = False
    require_descriptors: bool = False


class ToolOutputScanRule(Rule, frozen=True):
    """What tools returned: injected instructions, and the named kinds of personal data."""

    patterns: Patterns = ()
    denied_pii_types: Names = ()


class CustomValidatorRule(Rule, frozen=True):
    """The customer's own endpoint decides."""

    url: Annotated[str, Meta(min_length=1, max_length=URL_CHARS_MAX, pattern=r"^https://[^\s/?#@\\]+(?:[/?][^\s#]*)?$")]


class ExpressionRule(Rule, frozen=True):
    """A CEL expression that is true where the policy is violated."""

    expression: Annotated[str, Meta(min_length=1, max_length=EXPRESSION_CHARS_MAX)]
    message: Annotated[str, Meta(min_length=1, max_length=MESSAGE_CHARS_MAX)] | None = None
