"""Two detection rules of Cloud SIEM.

The first block of an agent in 30 days is here and no monitor: a log monitor looks back 48 hours at most, while a rule
on new values remembers for up to 30 days.
"""

from msgspec import Struct, field

from execlave_server.datadog.as_code.monitors import MANAGED_BY
from execlave_server.datadog.as_code.searches import AS_IT_HAPPENS

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400
REMEMBERED_DAYS = 30  # the most Datadog offers


class NewValueOptions(Struct, frozen=True, rename="camel"):
    """How long a value counts as known, in days; with no learning phase each new one is told from the start."""

    forget_after: int = REMEMBERED_DAYS
    learning_duration: int = 0
    learning_method: str = "duration"
    learning_threshold: int = 0


class RuleOptions(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Seconds, out of Datadog's closed lists."""

    detection_method: str
    evaluation_window: int
    keep_alive: int
    max_signal_duration: int
    new_value_options: NewValueOptions | None = None


class RuleQuery(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is looked at; `metrics` is whose new values are told."""

    name: str
    query: str
    aggregation: str
    group_by_fields: tuple[str, ...] = field(default=())
    metrics: tuple[str, ...] = ()


class Case(Struct, frozen=True, omit_defaults=True):
    """How grave a signal is under which condition; a new value needs none."""

    name: str
    status: str
    condition: str | None = None
    notifications: tuple[str, ...] | None = None


class Rule(Struct, frozen=True, rename="camel"):
    """The body of `POST /api/v2/security_monitoring/rules`."""

    name: str
    message: str
    queries: tuple[RuleQuery, ...]
    cases: tuple[Case, ...]
    options: RuleOptions
    tags: tuple[str, ...] = ("source:execlave", MANAGED_BY)
    type: str = "log_detection"
    is_enabled: bool = True


BLOCKED = f"{AS_IT_HAPPENS} @execlave.status:policy_blocked"

FIRST_BLOCK = Rule(
    name="Execlave: first block of an agent in 30 days",
    message=(
        "Agent {{@agent_id}} of organization {{@organization_id}} was blocked by a policy for the first time in 30 "
        "days. Either it does something new, or a policy is new. Compare the trace with what the agent did before: "
        "{{@execlave.trace_url}}"
    ),
    queries=(
        RuleQuery("first_block", BLOCKED, "new_value", group_by_fields=("@organization_id",), metrics=("@agent_id",)),
    ),
    cases=(Case("first block", "medium", notifications=()),),
    options=RuleOptions("new_value", 0, HOUR_S, DAY_S, NewValueOptions()),
)
PERSISTENT_BLOCKS = Rule(
    name="Execlave: an agent keeps trying what is forbidden",
    message=(
        "Agent {{@agent_id}} was blocked again and again within 15 minutes. An agent that tries variations of a "
        "forbidden action is steered by somebody, or by its own plan. Pause it, then read the timeline: "
        "{{@execlave.trace_url}}"
    ),
    queries=(RuleQuery("blocks", BLOCKED, "count", group_by_fields=("@agent_id",)),),
    cases=(
        Case("high", "high", "blocks > 10", ()),
        Case("medium", "medium", "blocks > 3", ()),
    ),
    options=RuleOptions("threshold", 15 * MINUTE_S, HOUR_S, DAY_S),
)
RULES = (FIRST_BLOCK, PERSISTENT_BLOCKS)
