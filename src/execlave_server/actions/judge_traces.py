"""What governance makes of a trace when it is stored.

It is judged by the policies of the post phase, and belongs to the decision that let its action go with warnings. What
a client says of that decision only names it: the decision itself is read from the store.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from execlave_server.actions.read_policies import Policies
from execlave_server.actions.services import Services
from execlave_server.datadog.logs import UNGOVERNED, Cost, Governed
from execlave_server.model.agents import Agent
from execlave_server.model.organizations import ApiKey
from execlave_server.model.policies import EnforcementMode, Phase
from execlave_server.model.traces import ID_CHARS_MAX, TraceItem, TraceStatus
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.detect_pii import PiiKind
from execlave_server.policy.engine import decide, masked_kinds
from execlave_server.policy.mask_outputs import mask_output
from execlave_server.store.protocol import Check, Parameters

CLAIMS_MAX = 2_000  # decisions looked for in one request: two for each trace it can bring
WARNINGS_READ_MAX = 20  # of one trace
OFF_LOOP_BYTES = 64_000  # preparing a longer trace, about 1 ms, would delay the answers of other requests
READ_OFF_LOOP_BYTES = 8_000  # the same where policies read its texts

CostOf: TypeAlias = Callable[[TraceItem], Cost | None]


class Claimed(Struct, frozen=True):
    """A decision that let an action go with warnings. `violations` is their JSON."""

    id: str
    agent: str | None
    agent_reference: str | None
    trace_id: str | None
    violations: str
    decided_at_us: int


class Objection(Protocol):
    """What the log tells of a violation."""

    @property
    def policy_id(self) -> str:
        """The policy."""

    @property
    def policy_type(self) -> str:
        """Its type."""

    @property
    def rule_id(self) -> str:
        """The rule of it that objected."""

    @property
    def severity(self) -> str:
        """How bad that is."""

    @property
    def enforcement_mode(self) -> str:
        """What it led to."""


class _Warning(Struct, rename="camel"):
    decision_id: Any = None


class _Enforcement(Struct):
    warnings: list[_Warning] = []


class _Objection(Struct, rename="camel"):
    policy_id: str
    policy_type: str
    rule_id: str
    severity: str
    enforcement_mode: EnforcementMode


class _Content(Struct, rename="camel"):
    input: Any = None
    output: Any = None
    input_data: Any = None
    output_data: Any = None
    metadata: dict[str, Any] | None = None


class _Applying(NamedTuple):
    """What the post phase asks of the traces of one agent and tool, and what such an action is called."""

    judges: bool
    masks: frozenset[PiiKind]
    names: dict[str, Any]


_enforcement = msgspec.json.Decoder(_Enforcement)
_objections = msgspec.json.Decoder(list[_Objection])
_content = msgspec.json.Decoder(_Content)
# Such an action did not run: its record keeps the status by which it is looked for.
_STOPPED = frozenset({TraceStatus.POLICY_BLOCKED, TraceStatus.LIMIT_EXCEEDED})


@dataclass(frozen=True, slots=True)
class Judging:
    """Everything a request's traces are judged by, read beforehand; `judge` is pure."""

    policies: Policies
    facts: Facts
    cost_of: CostOf
    organization_id: str
    claimed: Sequence[Claimed] = ()
    _applying: dict[tuple[str | None, str | None, str | None], _Applying] = field(default_factory=dict)

    @property
    def check(self) -> Check:
        """Holds while the policies are as they were read."""
        return self.policies.check

    @property
    def off_loop_bytes(self) -> int:
        """A trace of more bytes than this is judged beside the event loop."""
        return READ_OFF_LOOP_BYTES if self.policies.compiled.reads_afterwards else OFF_LOOP_BYTES

    def judge(self, raw: bytes, item: TraceItem, agent: Agent | None) -> tuple[bytes, Governed]:
        """The bytes to store of a trace, and what its log says of governance."""
        if not self.claimed and not self.policies.compiled.afterwards:
            return raw, UNGOVERNED
        decision = self._decision_of(item, agent) if self.claimed else None
        kept, found = self._ask_policies(raw, item, agent) if self.policies.compiled.afterwards else (raw, ())
        warned = _objections.decode(decision.violations) if decision else []
        if not found and not decision:
            return kept, UNGOVERNED
        status = None if item.status in _STOPPED else TraceStatus.FLAGGED_FOR_REVIEW
        objections = sorted((*warned, *found), key=lambda one: -EnforcementMode(one.enforcement_mode).strictness)
        return kept, governed_of(objections, status=status, decision_id=decision.id if decision else None)

    def _decision_of(self, item: TraceItem, agent: Agent | None) -> Claimed | None:
        """The decision this trace names; else the newest of its own agent under its trace id."""
        ids, trace_ids = set(_decision_ids(item)), set(_trace_ids(item))
        named = next((one for one in self.claimed if one.id in ids), None)
        if named or not trace_ids:
            return named
        return next((one for one in self.claimed if one.trace_id in trace_ids and _is_of(one, item, agent)), None)

    def _ask_policies(self, raw: bytes, item: TraceItem, agent: Agent | None) -> tuple[bytes, Sequence[Objection]]:
        applying = self._applying_to(item, agent)
        if not applying.judges:
            return raw, ()
        content, compiled = _read_content(raw), self.policies.compiled
        cost = self.cost_of(item)
        action = Action(
            **applying.names,
            input=content.input if content.input is not None else content.input_data,
            output=content.output if content.output is not None else content.output_data,
            metadata=content.metadata or {},
            estimated_cost=cost.usd if cost else None,
        )
        found = decide(compiled, action, self.facts).violations
        masks = applying.masks and action.output is not None
        return (mask_output(raw, applying.masks) if masks else raw), found

    def _applying_to(self, item: TraceItem, agent: Agent | None) -> _Applying:
        tool = item.used_tool
        key = (agent.id if agent else item.agent_id, item.environment, tool)
        known = self._applying.get(key)
        if known is None:
            names, compiled = self._names(item, agent, tool), self.policies.compiled
            action = Action(**names, input=None)
            known = _Applying(bool(compiled.select(action).checks), masked_kinds(compiled, action), names)
            self._applying[key] = known
        return known

    def _names(self, item: TraceItem, agent: Agent | None, tool: str | None) -> dict[str, Any]:
        return {
            "agent_id": agent.agent_id if agent else item.agent_id or "",
            "agent_uuid": agent.id if agent else None,
            "agent_name": agent.name if agent else None,
            "organization_id": self.organization_id,
            "environment": item.environment or (agent.environment if agent else None),
            "tools": (tool,) if tool else (),
            "phase": Phase.POST,
        }


async def read_judging(
    services: Services, key: ApiKey, items: Sequence[TraceItem], cost_of: CostOf, *, fresh: bool
) -> Judging:
    """Fetch what the traces of a request are judged by."""
    policies = await services.policies.of(key.organization, fresh=fresh)
    wanted: Parameters = {
        "organization": key.organization,
        "ids": _listed(name for item in items for name in _decision_ids(item)),
        "trace_ids": _listed(name for item in items for name in _trace_ids(item)),
        "limit": CLAIMS_MAX,
    }
    claimed = await services.store.find(Claimed, "warned_decisions", wanted)
    return Judging(policies, Facts(services.clock.now_us()), cost_of, key.organization_id, claimed)


def governed_of(objections: Sequence[Objection], *, status: TraceStatus | None, decision_id: str | None) -> Governed:
    """What a trace's log says of those who objected, the strictest first."""
    return Governed(
        status=status,
        decision_id=decision_id,
        enforcement_mode=str(objections[0].enforcement_mode) if objections else None,
        severity=objections[0].severity if objections else None,
        policy_ids=tuple(dict.fromkeys(one.policy_id for one in objections)),
        policy_types=tuple(dict.fromkeys(str(one.policy_type) for one in objections)),
        rule_ids=tuple(dict.fromkeys(one.rule_id for one in objections)),
    )


def _listed(names: Iterable[str]) -> str:
    """Some of the names, each once, as JSON."""
    return msgspec.json.encode(list(dict.fromkeys(names))[:CLAIMS_MAX]).decode()


def _decision_ids(item: TraceItem) -> list[str]:
    """The decisions named in `metadata.enforcement.warnings[].decisionId`, where the SDK echoes them."""
    if item.metadata is None or not item.metadata.enforcement:
        return []
    try:
        warnings = _enforcement.decode(item.metadata.enforcement).warnings[:WARNINGS_READ_MAX]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return [name for one in warnings if (name := _identifier(one.decision_id))]


def _trace_ids(item: TraceItem) -> list[str]:
    """Under which trace ids its decision may be recorded: its own, and `metadata.traceId`."""
    named = _identifier(item.metadata.trace_id) if item.metadata else None
    return [item.trace_id, named] if named else [item.trace_id]


def _identifier(value: object) -> str | None:
    return value if isinstance(value, str) and 1 <= len(value) <= ID_CHARS_MAX else None


def _is_of(decision: Claimed, item: TraceItem, agent: Agent | None) -> bool:
    if agent is not None and decision.agent is not None:
        return decision.agent == agent.id
    return decision.agent_reference == item.agent_id


def _read_content(raw: bytes) -> _Content:
    """What the trace says. One that cannot be read as values, being nested too deeply, is read as a text."""
    try:
        return _content.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = raw.decode(errors="replace")
        return _Content(input=text, output=text)
