"""What a policy said in stored decisions: for one in monitor mode, what it would have done."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from execlave_server.actions.read_policies import get_policy
from execlave_server.actions.services import Services
from execlave_server.audit.records import MatchedPolicy
from execlave_server.model.decisions import Outcome

SHADOW_HOURS_MAX = 24 * 31
DECISIONS_PER_PAGE = 2_000
DECISIONS_MAX = 200_000  # a second or two of reading; the newest are read first
EXAMPLES_MAX = 10
_HOUR_US = 3_600_000_000
_GO = {Outcome.ALLOWED, Outcome.WARNED}
_matched = msgspec.json.Decoder(tuple[MatchedPolicy, ...])


class PastDecision(Struct, frozen=True):
    """A stored decision. `policies` is the JSON of those that had a say."""

    id: str
    decided_at_us: int
    trace_id: str | None
    outcome: Outcome
    policies: str


@dataclass(frozen=True)
class Shadow:
    """What a policy said from `from_us` to `to_us`. `modes` and `rules` count by what it said.

    `let_go` counts the matched decisions whose action went ahead. Not `complete`: older decisions were not looked at.
    """

    policy_id: str
    from_us: int
    to_us: int
    decisions: int
    complete: bool
    matched: int
    let_go: int
    modes: Mapping[str, int]
    rules: Mapping[str, int]
    examples: Sequence[PastDecision]


@dataclass
class _Tally:
    policy_id: str
    decisions: int = 0
    matched: int = 0
    let_go: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    examples: list[PastDecision] = field(default_factory=list)

    def add(self, decision: PastDecision) -> None:
        self.decisions += 1
        if self.policy_id not in decision.policies:
            return
        said = [each for each in _matched.decode(decision.policies) if each.policy == self.policy_id]
        if not said:
            return
        self.matched += 1
        self.let_go += decision.outcome in _GO
        self.modes.update(each.mode for each in said)
        self.rules.update(each.rule for each in said if each.rule)
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(decision)


async def read_shadow(services: Services, organization: int, policy_id: str, hours: int) -> Shadow:
    """What a policy said in the last hours. Raises NotFoundError."""
    await get_policy(services.store, organization, policy_id)
    to_us = services.clock.now_us()
    from_us, tally = to_us - hours * _HOUR_US, _Tally(policy_id)
    before: tuple[int, str] = (to_us + 1, "")
    complete = False
    while not complete and tally.decisions < DECISIONS_MAX:
        page = await services.store.find(
            PastDecision,
            "newest_decisions",
            {
                "organization": organization,
                "from_us": from_us,
                "before_us": before[0],
                "before_id": before[1],
                "rows": DECISIONS_PER_PAGE,
            },
        )
        for decision in page:
            tally.add(decision)
        complete = len(page) < DECISIONS_PER_PAGE
        if page:
            before = (page[-1].decided_at_us, page[-1].id)
    return Shadow(
        policy_id=policy_id,
        from_us=from_us,
        to_us=to_us,
        decisions=tally.decisions,
        complete=complete,
        matched=tally.matched,
        let_go=tally.let_go,
        modes=tally.modes,
        rules=tally.rules,
        examples=tally.examples,
    )
