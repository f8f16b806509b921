"""A policy: a typed rule with an enforcement mode."""

from enum import StrEnum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from execlave_server.errors import ValidationFailedError
from execlave_server.model.policy_rules import (
    NAMES_MAX,
    AccessControlRule,
    ActionApprovalRule,
    BudgetCapRule,
    CostLimitRule,
    CustomValidatorRule,
    DataRestrictionRule,
    ExpressionRule,
    ExternalCallLimitRule,
    InjectionScanRule,
    Name,
    Names,
    PiiAccessRule,
    RateLimitRule,
    Rule,
    ToolIntegrityRule,
    ToolOutputScanRule,
)

POLICY_NAME_CHARS_MAX = 200
METADATA_BYTES_MAX = 4_096  # notes that travel with a policy file
EVERY_AGENT = "*"

T = TypeVar("T")


class PolicyType(StrEnum):
    """What a policy looks at."""

    INJECTION_SCAN = "injection_scan"
    PII_ACCESS = "pii_access"
    ACCESS_CONTROL = "access_control"
    ACTION_APPROVAL = "action_approval"
    COST_LIMIT = "cost_limit"
    BUDGET_CAP = "budget_cap"
    RATE_LIMIT = "rate_limit"
    EXTERNAL_CALL_LIMIT = "external_call_limit"
    DATA_RESTRICTION = "data_restriction"
    TOOL_INTEGRITY = "tool_integrity"
    TOOL_OUTPUT_SCAN = "tool_output_scan"
    CUSTOM_VALIDATOR = "custom_validator"
    EXPRESSION = "expression"

    @property
    def is_limit(self) -> bool:
        """True when a block of this type means that a limit is used up."""
        return self in _LIMITS


_LIMITS = frozenset({
    PolicyType.COST_LIMIT, PolicyType.BUDGET_CAP, PolicyType.RATE_LIMIT, PolicyType.EXTERNAL_CALL_LIMIT,
})  # fmt: skip


class EnforcementMode(StrEnum):
    """What a violation leads to, the strictest last."""

    MONITOR = "monitor"
    WARN = "warn"
    REQUIRE_APPROVAL = "require_approval"
    BLOCK = "block"

    @property
    def strictness(self) -> int:
        """0 for monitor up to 3 for block."""
        return _STRICTNESS[self]


_STRICTNESS = {mode: place for place, mode in enumerate(EnforcementMode)}


class FailureMode(StrEnum):
    """What a policy that cannot be evaluated means."""

    OPEN = "fail_open"
    CLOSED = "fail_closed"


class Phase(StrEnum):
    """Before an action runs, or when its trace is stored."""

    PRE = "pre"
    POST = "post"


_BOTH = frozenset(Phase)
_PRE = frozenset({Phase.PRE})


class TypeFacts(Struct, frozen=True):
    """What holds for every policy of a type."""

    rule: type[Rule]
    phases: frozenset[Phase] = _PRE
    failure_mode: FailureMode = FailureMode.OPEN


TYPES: dict[PolicyType, TypeFacts] = {
    PolicyType.INJECTION_SCAN: TypeFacts(InjectionScanRule, _BOTH),
    PolicyType.PII_ACCESS: TypeFacts(PiiAccessRule, _BOTH),
    PolicyType.ACCESS_CONTROL: TypeFacts(AccessControlRule, _BOTH),
    PolicyType.ACTION_APPROVAL: TypeFacts(ActionApprovalRule),
    PolicyType.COST_LIMIT: TypeFacts(CostLimitRule, _BOTH),
    PolicyType.BUDGET_CAP: TypeFacts(BudgetCapRule),
    PolicyType.RATE_LIMIT: TypeFacts(RateLimitRule),
    PolicyType.EXTERNAL_CALL_LIMIT: TypeFacts(ExternalCallLimitRule),
    PolicyType.DATA_RESTRICTION: TypeFacts(DataRestrictionRule, _BOTH),
    PolicyType.TOOL_INTEGRITY: TypeFacts(ToolIntegrityRule),
    PolicyType.TOOL_OUTPUT_SCAN: TypeFacts(ToolOutputScanRule, _BOTH),
    PolicyType.CUSTOM_VALIDATOR: TypeFacts(CustomValidatorRule, failure_mode=FailureMode.CLOSED),
    PolicyType.EXPRESSION: TypeFacts(ExpressionRule, _BOTH),
}


class Policy(Struct, frozen=True, kw_only=True, rename="camel"):
    """One version of a policy. Empty `applies_to_agents` or `environments` means all; encoding it gives the API's form.

    `phase` narrows a type that works in both phases to one of them. With `alert_on_unverified_execution` an
    approval that it asked for, and that is granted and never verified, is told of.
    """

    id: str
    version: int
    name: str
    policy_type: PolicyType
    enforcement_mode: EnforcementMode
    rule_definition: Rule
    applies_to_agents: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    failure_mode: FailureMode = FailureMode.OPEN
    is_active: bool = True
    phase: Phase | None = None
    metadata: dict[str, Any] = {}
    alert_on_unverified_execution: bool = True

    @property
    def phases(self) -> frozenset[Phase]:
        """When it is evaluated."""
        return TYPES[self.policy_type].phases if self.phase is None else frozenset({self.phase})


class _Body(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=POLICY_NAME_CHARS_MAX, pattern=r"\S")]
    policy_type: PolicyType
    enforcement_mode: EnforcementMode
    rule_definition: Raw = Raw(b"{}")
    applies_to_agents: Names = ()
    environments: Annotated[tuple[Name, ...], Meta(max_length=NAMES_MAX)] = ()
    failure_mode: FailureMode | None = None
    is_active: bool = True
    phase: Phase | None = None
    metadata: Raw = Raw(b"{}")
    alert_on_unverified_execution: bool = True


_body = msgspec.json.Decoder(_Body)
_rules = {policy_type: msgspec.json.Decoder(facts.rule) for policy_type, facts in TYPES.items()}
_notes = msgspec.json.Decoder(dict[str, Any])
_members = msgspec.json.Decoder(dict[str, Raw])
# The platform's older words, in `action` and on older pages.
_ACTION_MODES = {
    "log": EnforcementMode.MONITOR,
    "log_only": EnforcementMode.MONITOR,
    "flag": EnforcementMode.WARN,
    **{mode.value: mode for mode in EnforcementMode},
}


def parse_policy(body: bytes, policy_id: str = "", version: int = 1) -> Policy:
    """The policy that a JSON body describes. Raises ValidationFailedError that names the field and its limit.

    What only an engine can tell (patterns, expressions, time zones) is for `policy.engine.verify_policy`.
    """
    said = _decode(_body, body, "")
    facts = TYPES[said.policy_type]
    rule = _decode(_rules[said.policy_type], said.rule_definition, "ruleDefinition")
    if said.phase is not None and said.phase not in facts.phases:
        raise invalid("phase", f"{said.policy_type} is evaluated in the phase {Phase.PRE} only")
    if isinstance(rule, InjectionScanRule) and rule.action is not None:
        _check_action(rule.action, said.enforcement_mode)
    if len(said.metadata) > METADATA_BYTES_MAX:
        raise invalid("metadata", f"has {len(said.metadata):,} bytes; the most is {METADATA_BYTES_MAX:,}")
    return Policy(
        id=policy_id,
        version=version,
        name=said.name.strip(),
        policy_type=said.policy_type,
        enforcement_mode=said.enforcement_mode,
        rule_definition=rule,
        applies_to_agents=() if EVERY_AGENT in said.applies_to_agents else said.applies_to_agents,
        environments=said.environments,
        failure_mode=said.failure_mode or facts.failure_mode,
        is_active=said.is_active,
        phase=said.phase,
        metadata=_decode(_notes, said.metadata, "metadata"),
        alert_on_unverified_execution=said.alert_on_unverified_execution,
    )


def merge_body(body: bytes, changes: bytes) -> bytes:
    """A body with the members of another in place of its own, each as a whole. Raises ValidationFailedError."""
    return msgspec.json.encode(_decode(_members, body, "") | _decode(_members, changes, ""))


def invalid(field: str, what: str) -> ValidationFailedError:
    """The refusal of one field of a policy."""
    return ValidationFailedError(f"The policy is not valid: {field} {what}.", fields={field: what})


def _check_action(action: str, mode: EnforcementMode) -> None:
    if action not in _ACTION_MODES:
        raise invalid("ruleDefinition.action", f"must be one of {', '.join(_ACTION_MODES)}, or be left out")
    if _ACTION_MODES[action] is not mode:
        raise invalid("ruleDefinition.action", f"contradicts enforcementMode, which is {mode}; leave it out")


def _decode(decoder: "msgspec.json.Decoder[T]", document: bytes | Raw, parent: str) -> T:
    try:
        return decoder.decode(document)
    except msgspec.ValidationError as error:
        field, what = _field_of(str(error))
        raise invalid(".".join(filter(None, (parent, field))) or "body", what) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(parent or "body", "is not JSON that can be read") from error


_ABOUT_A_FIELD = (
    ("Object missing required field `", "is required"),
    ("Object contains unknown field `", "is not known"),
)


def _field_of(message: str) -> tuple[str, str]:
    """The field that a validation message names, and what is wrong with it."""
    what, _, where = message.partition(" - at `$")
    field = where.rstrip("`").lstrip(".")
    for start, wrong in _ABOUT_A_FIELD:
        if what.startswith(start):
            return ".".join(filter(None, (field, what.removeprefix(start).rstrip("`")))), wrong
    return field, f"is not valid: {what[:1].lower()}{what[1:]}"
