"""Which incident each violation belongs to: decided by agent, policy and time alone, so the same every time.

A violation joins the newest incident of its agent and policy whose last violation is at most 15 minutes away, unless
that one was resolved before; else it opens one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from execlave_server.model.incidents import WINDOW_US, Severity
from execlave_server.model.traces import TraceStatus


class GroupKey(NamedTuple):
    """Whose violation of what. `agent` is the registry's id, or the name a trace gave where there is none."""

    agent: str
    environment: str
    policy: str


class Violation(NamedTuple):
    """A trace that governance stopped or flagged."""

    key: GroupKey
    trace: int
    trace_id: str
    span_id: str
    status: TraceStatus
    severity: Severity
    received_at_us: int
    agent_name: str
    incident: str | None = None
    """The incident of another span of the same trace, where this one names no policy itself."""


@dataclass(slots=True)
class Group:
    """An incident, and what is to be added to it. `id` is None for one to open."""

    key: GroupKey
    id: str | None
    severity: Severity
    last_seen_us: int
    resolved_at_us: int | None = None
    added: list[Violation] = field(default_factory=list)

    def takes(self, violation: Violation) -> bool:
        """True where the violation belongs here."""
        at_us = violation.received_at_us
        if self.resolved_at_us is not None and at_us > self.resolved_at_us:
            return False
        if violation.incident is not None and violation.incident == self.id:
            return True
        return self.key == violation.key and abs(at_us - self.last_seen_us) <= WINDOW_US

    def add(self, violation: Violation) -> None:
        """Take it in; the highest severity wins."""
        self.added.append(violation)
        self.severity = max(self.severity, violation.severity, key=lambda severity: severity.rank)
        self.last_seen_us = max(self.last_seen_us, violation.received_at_us)


def group_violations(known: Sequence[Group], violations: Sequence[Violation]) -> list[Group]:
    """The groups that get something, in order; `known` are those there are, the oldest first, and are changed."""
    groups = list(known)
    for violation in sorted(violations, key=lambda each: (each.received_at_us, each.trace)):
        group = next((each for each in reversed(groups) if each.takes(violation)), None)
        if group is None:
            group = Group(violation.key, None, violation.severity, violation.received_at_us)
            groups.append(group)
        group.add(violation)
    return [group for group in groups if group.added]
