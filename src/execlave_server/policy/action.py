"""What is judged, and the facts that are fetched for it beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from execlave_server.model.policies import Phase
from execlave_server.model.policy_rules import Scope, Window
from execlave_server.policy.texts import Texts, texts_of


@dataclass(frozen=True)
class Action:
    """An action before it runs (enforce) or its trace (post phase). `agent_id` is the external id or what was sent.

    An agent that is not registered has no `agent_uuid`. `input` is text when asked, any JSON in a trace.
    """

    agent_id: str
    input: Any
    organization_id: str = ""
    agent_uuid: str | None = None
    agent_name: str | None = None
    environment: str | None = None
    output: Any = None
    tools: tuple[str, ...] = ()
    metadata: dict[str, Any] = attribute(default_factory=dict)
    estimated_cost: float | None = None
    conversation_history: tuple[Any, ...] = ()
    tool_outputs: tuple[Any, ...] = ()
    tool_descriptors: tuple[Any, ...] = ()
    phase: Phase = Phase.PRE

    @cached_property
    def texts(self) -> Texts:
        """Every text in it, gathered at the first reading."""
        return texts_of(self)

    @cached_property
    def cost_usd(self) -> float:
        """The cost it declares; nothing declared, or a negative cost, is none."""
        return max(0.0, float(self.estimated_cost or 0.0))


class Spend(NamedTuple):
    """A sum to fetch: US dollars spent and reserved in the window that holds now."""

    scope: Scope
    window: Window

    @property
    def key(self) -> str:
        """Its name in `Facts.spent_usd`."""
        return f"{self.scope}:{self.window}"


class Counter(NamedTuple):
    """A count to fetch: what this policy counted in the window, and what this action adds to it when it runs."""

    policy_id: str
    scope: Scope
    window: Window
    adds: int


class ValidatorDecision(StrEnum):
    """A customer's endpoint says one of three."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the caller fetched. A fact that is missing could not be had: its policy fails as configured.

    `spent_usd` by `Spend.key` and `counts` by policy id, both without this action; `baseline` maps (server, tool) to
    the descriptor hash the agent reported; `now_us` is UTC.
    """

    now_us: int
    spent_usd: Mapping[str, float] = attribute(default_factory=dict)
    counts: Mapping[str, int] = attribute(default_factory=dict)
    validator_answers: Mapping[str, ValidatorDecision] = attribute(default_factory=dict)
    baseline: Mapping[tuple[str, str], str] | None = None
