"""Which incident a violation belongs to."""

from execlave_server.actions.group_violations import Group, GroupKey, Violation, group_violations
from execlave_server.model.incidents import WINDOW_US, Severity, severity_of
from execlave_server.model.traces import TraceStatus

KEY = GroupKey("agent", "production", "pol_1")
OTHER = GroupKey("agent", "production", "pol_2")


def violation(number: int, at_us: int, key: GroupKey = KEY, severity: Severity = Severity.HIGH, **more) -> Violation:
    """A blocked trace received then."""
    return Violation(key, number, f"t{number}", "s", TraceStatus.POLICY_BLOCKED, severity, at_us, "Agent", **more)


def grouped(known: list[Group], *violations: Violation) -> list[tuple[str | None, list[int]]]:
    """The groups that got something: their incident and the traces added."""
    return [(group.id, [each.trace for each in group.added]) for group in group_violations(known, violations)]


def known(incident: str, last_seen_us: int, resolved_at_us: int | None = None, key: GroupKey = KEY) -> Group:
    """An incident there is."""
    return Group(key, incident, Severity.LOW, last_seen_us, resolved_at_us)


def test_the_window_rolls():
    """Each violation within 15 minutes of the last joins it; one a microsecond later opens another."""
    times = [0, WINDOW_US, 2 * WINDOW_US, 3 * WINDOW_US + 1]

    assert grouped([], *(violation(number, at_us) for number, at_us in enumerate(times))) == [
        (None, [0, 1, 2]),
        (None, [3]),
    ]


def test_agents_and_policies_are_kept_apart():
    """Violations of another policy, agent or environment never share an incident."""
    keys = [KEY, OTHER, KEY._replace(agent="other"), KEY._replace(environment="staging"), KEY]
    found = grouped([], *(violation(number, number, key) for number, key in enumerate(keys)))

    assert found == [(None, [0, 4]), (None, [1]), (None, [2]), (None, [3])]


def test_the_order_of_reading_does_not_matter():
    """The same violations make the same groups in whatever order they are read."""
    violations = [violation(number, at_us) for number, at_us in enumerate([0, WINDOW_US, 3 * WINDOW_US, 4 * WINDOW_US])]

    assert grouped([], *reversed(violations)) == grouped([], *violations) == [(None, [0, 1]), (None, [2, 3])]


def test_an_incident_that_is_there_grows():
    """The newest that is near takes it; one that is too long ago does not."""
    old, near = known("old", 0), known("near", 2 * WINDOW_US)

    assert grouped([old, near], violation(1, 2 * WINDOW_US + 5)) == [("near", [1])]
    assert grouped([known("old", 0)], violation(1, WINDOW_US + 1)) == [(None, [1])]


def test_a_resolved_incident_takes_only_what_was_before():
    """What was received before it was resolved still belongs to it; what came after opens another."""
    resolved = known("done", 100, resolved_at_us=200)

    assert grouped([resolved], violation(1, 150), violation(2, 250)) == [("done", [1]), (None, [2])]


def test_a_report_without_policy_joins_the_incident_of_its_trace():
    """The SDK's own report of a block names no policy: it belongs where the decision's trace is."""
    report = violation(1, 50, GroupKey("agent", "production", ""), incident="there")

    assert grouped([known("there", 0), known("newer", 40, key=OTHER)], report) == [("there", [1])]


def test_the_highest_severity_wins():
    """An incident is as bad as the worst of it, in whatever order that came."""
    violations = [violation(1, 1, severity=Severity.CRITICAL), violation(2, 2, severity=Severity.LOW)]
    [group] = group_violations([known("there", 0)], violations)

    assert (group.severity, group.last_seen_us) == (Severity.CRITICAL, 2)


def test_severity_is_the_policys_else_the_modes_else_the_statuses():
    """The policy's word counts first; a word that is none is passed over."""
    blocked, flagged = TraceStatus.POLICY_BLOCKED, TraceStatus.FLAGGED_FOR_REVIEW

    assert severity_of(blocked, "block", "critical") is Severity.CRITICAL
    assert severity_of(blocked, "warn", "grave") is Severity.LOW
    assert severity_of(blocked, None, None) is Severity.HIGH
    assert severity_of(TraceStatus.LIMIT_EXCEEDED, None, None) is Severity.MEDIUM
    assert severity_of(flagged, None, None) is Severity.LOW
