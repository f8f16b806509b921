"""An organization's policies, indexed by agent and tool."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import NamedTuple, TypeAlias

from execlave_server.model.policies import EnforcementMode, FailureMode, Phase, Policy
from execlave_server.model.policy_rules import (
    BudgetCapRule,
    CostLimitRule,
    CustomValidatorRule,
    ExpressionRule,
    ExternalCallLimitRule,
    RateLimitRule,
    ToolIntegrityRule,
)
from execlave_server.policy.action import Action
from execlave_server.policy.breaches import Check
from execlave_server.policy.check_of_rule import TEXT_RULES, check_of, tools_of
from execlave_server.policy.wildcards import NamePatterns

SELECTIONS_KEPT = 2_048  # agents times tools of a busy organization; forgotten all at once when there are more
REMEMBERED_TOOLS_MAX = 16
REMEMBERED_CHARS_MAX = 1_024  # a caller chooses these names; they must not fill the memory

_ASKING_RULES = (
    CostLimitRule, BudgetCapRule, RateLimitRule, ExternalCallLimitRule, ToolIntegrityRule, CustomValidatorRule,
)  # fmt: skip
_READING_RULES = (*TEXT_RULES, ExpressionRule)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPolicy:
    """A policy ready to run. `tools` and `environments` are None where it speaks of all.

    Whatever a selection needs stands here ready: the first action of an agent and tool walks the index.
    """

    policy: Policy
    check: Check
    before: bool
    afterwards: bool
    environments: frozenset[str] | None
    tools: NamePatterns | None
    asks: bool
    reads_texts: bool
    fails_closed: bool


class Selection(NamedTuple):
    """The policies that judge an action, each with its check. `asking` are those that need facts."""

    checks: tuple[tuple[Check, Policy], ...]
    asking: tuple[Policy, ...]
    reads_texts: bool
    fails_closed: bool


_Key: TypeAlias = tuple[str, str | None, str | None, tuple[str, ...], bool]


class _Group:
    """Policies that apply to the same agent, by the tools they are about."""

    def __init__(self, policies: Iterable[CompiledPolicy]) -> None:
        self.always: list[CompiledPolicy] = []
        self.wild: list[tuple[NamePatterns, CompiledPolicy]] = []
        self.by_tool: dict[str, list[CompiledPolicy]] = {}
        for compiled in policies:
            if compiled.tools is None:
                self.always.append(compiled)
            elif compiled.tools.has_wildcards:
                self.wild.append((compiled.tools, compiled))
            else:
                for tool in compiled.tools.exact:
                    self.by_tool.setdefault(tool, []).append(compiled)

    def candidates(self, tools: tuple[str, ...]) -> Iterator[CompiledPolicy]:
        """May repeat one that is about several of the tools."""
        yield from self.always
        if tools:
            for tool in tools:
                yield from self.by_tool.get(tool, ())
            yield from (compiled for patterns, compiled in self.wild if patterns.any_of(tools))


@dataclass(frozen=True, slots=True, eq=False)
class CompiledPolicies:
    """One version of an organization's policies. Selections are remembered; nothing else ever changes.

    `afterwards` says whether any judges traces, `reads_afterwards` whether one of those reads their texts.
    """

    everyone: _Group
    by_agent: dict[str, _Group]
    fails_closed: bool
    afterwards: bool = False
    reads_afterwards: bool = False
    remembered: dict[_Key, Selection] = attribute(default_factory=dict)

    def select(self, action: Action) -> Selection:
        """The policies that judge this action."""
        key = (action.agent_id, action.agent_uuid, action.environment, action.tools, action.phase is Phase.PRE)
        found = self.remembered.get(key)
        if found is None:
            found = self._select(action)
            if _is_small(action):
                if len(self.remembered) >= SELECTIONS_KEPT:
                    self.remembered.clear()
                self.remembered[key] = found
        return found

    def _select(self, action: Action) -> Selection:
        named = (self.by_agent.get(name) for name in dict.fromkeys((action.agent_id, action.agent_uuid)) if name)
        groups = (self.everyone, *(group for group in named if group is not None))
        candidates = dict.fromkeys(one for group in groups for one in group.candidates(action.tools))
        before, environment = action.phase is Phase.PRE, action.environment
        policies = tuple(
            one
            for one in candidates
            if (one.before if before else one.afterwards)
            and (one.environments is None or environment in one.environments)
        )
        return Selection(
            tuple((one.check, one.policy) for one in policies),
            tuple(one.policy for one in policies if one.asks),
            any(one.reads_texts for one in policies),
            any(one.fails_closed for one in policies),
        )


def compile_policies(policies: Iterable[Policy]) -> CompiledPolicies:
    """Index the active policies. Never raises: one that cannot be compiled fails as it is configured to."""
    everyone: list[CompiledPolicy] = []
    by_agent: dict[str, list[CompiledPolicy]] = {}
    fails_closed = afterwards = reads_afterwards = False
    for policy in policies:
        if not policy.is_active:
            continue
        compiled = _compile(policy)
        fails_closed |= compiled.fails_closed
        afterwards |= compiled.afterwards
        reads_afterwards |= compiled.afterwards and compiled.reads_texts
        if not policy.applies_to_agents:
            everyone.append(compiled)
        for agent in policy.applies_to_agents:
            by_agent.setdefault(agent, []).append(compiled)
    groups = {agent: _Group(applying) for agent, applying in by_agent.items()}
    return CompiledPolicies(_Group(everyone), groups, fails_closed, afterwards, reads_afterwards)


def _compile(policy: Policy) -> CompiledPolicy:
    rule, phases = policy.rule_definition, policy.phases
    return CompiledPolicy(
        policy,
        check_of(policy),
        before=Phase.PRE in phases,
        afterwards=Phase.POST in phases,
        environments=frozenset(policy.environments) or None,
        tools=tools_of(rule),
        asks=isinstance(rule, _ASKING_RULES),
        reads_texts=isinstance(rule, _READING_RULES),
        fails_closed=policy.failure_mode is FailureMode.CLOSED
        and policy.enforcement_mode is not EnforcementMode.MONITOR,  # which changes nothing, whatever happens
    )


def _is_small(action: Action) -> bool:
    if len(action.tools) > REMEMBERED_TOOLS_MAX:
        return False
    chars = len(action.agent_id) + len(action.environment or "") + sum(map(len, action.tools))
    return chars <= REMEMBERED_CHARS_MAX
