import json

import msgspec
import pytest

from execlave_server.sandbox.faults import FaultAction, FaultPlan, FaultRule, FaultRules, planned_answer


def read_rule(rule: dict) -> FaultRule:
    """One rule, read as the endpoint reads it."""
    return msgspec.json.decode(json.dumps({"rules": [rule]}), type=FaultRules).rules[0]


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({}, "`status`, `delay_ms` or an `action` other than respond is needed"),
        ({"delay_ms": 0}, "`status`, `delay_ms` or an `action` other than respond is needed"),
        ({"status": 503, "statuz": 1}, "unknown field `statuz`"),
        ({"status": 199}, r"`int` >= 200 - at `\$.rules\[0\].status`"),
        ({"status": 600}, r"`int` <= 599 - at `\$.rules\[0\].status`"),
        ({"status": "503"}, r"got `str` - at `\$.rules\[0\].status`"),
        ({"status": 503, "times": 0}, r"`int` >= 1 - at `\$.rules\[0\].times`"),
        ({"delay_ms": -1}, r"`int` >= 0 - at `\$.rules\[0\].delay_ms`"),
        ({"delay_ms": 600_001}, r"`int` <= 600000 - at `\$.rules\[0\].delay_ms`"),
        ({"action": "explode"}, r"Invalid enum value 'explode' - at `\$.rules\[0\].action`"),
        ({"action": "hang", "status": 503}, "`status` goes with the action respond, not with hang"),
        ({"delay_ms": 5, "body": "x"}, "`headers` and `body` need a `status`"),
        ({"delay_ms": 5, "headers": {"a": "b"}}, "`headers` and `body` need a `status`"),
        ({"status": 503, "path": "api/v2/logs"}, "`path` must be one of Datadog's"),
        ({"status": 503, "path": "/sandbox/faults"}, "`path` must be one of Datadog's"),
        ({"status": 503, "headers": {"a b": "c"}}, "not a header's: 'a b'"),
        ({"status": 503, "headers": {"a": "b\r\nc: d"}}, "not printable ASCII: a"),
        ({"status": 503, "headers": {"Content-Length": "5"}}, "cannot set Content-Length"),
        ({"status": 503, "headers": {"a": 1}}, r"got `int` - at `\$.rules\[0\].headers"),
    ],
)
def test_refuses_rules_it_cannot_follow(rule, complaint):
    """A rule with an unknown field, a bad value or no effect is refused, and the text names what is wrong."""
    with pytest.raises(msgspec.ValidationError, match=complaint):
        read_rule(rule)


@pytest.mark.parametrize("action", FaultAction)
def test_reads_every_action(action):
    """Each action is a rule by its own name; a path and a count are not needed."""
    rule = read_rule({"action": action.value, "delay_ms": 1})

    assert (rule.action, rule.path, rule.times) == (action, "/api/v2/logs", 1)


def test_takes_the_first_matching_rule_until_it_is_used_up():
    """Rules of one path are used in order, each as often as it says, whatever other paths do."""
    plan = FaultPlan()
    plan.replace(
        [
            FaultRule(path="/other", status=500),
            FaultRule(status=501, times=2),
            FaultRule(status=502),
        ]
    )

    taken = [plan.take("/api/v2/logs") for _ in range(4)]

    assert [rule and rule.status for rule in taken] == [501, 501, 502, None]
    assert [rule.path for rule in plan.left()] == ["/other"]


def test_a_rule_may_choose_requests_by_what_they_say():
    """A rule with a text passes over bodies without it, and is not used up by them."""
    plan = FaultPlan()
    plan.replace([FaultRule(status=400, contains="poison")])

    taken = [plan.take("/api/v2/logs", body) for body in (b"[1]", b"[poison]", b"[poison]")]

    assert [rule and rule.status for rule in taken] == [None, 400, None]
    assert not plan.reads_body("/api/v2/logs")


def test_a_rule_without_a_count_never_ends():
    """Null times means for ever: the rule stays, and what follows it is never reached."""
    plan = FaultPlan()
    plan.replace([FaultRule(status=503, times=None), FaultRule(status=500)])

    taken = [plan.take("/api/v2/logs") for _ in range(100)]

    assert {rule and rule.status for rule in taken} == {503}
    assert [rule.times for rule in plan.left()] == [None, 1]


def test_shows_how_often_a_rule_still_applies():
    """What is left of a rule is its count less the times it was used."""
    plan = FaultPlan()
    plan.replace([FaultRule(status=503, times=3)])

    plan.take("/api/v2/logs")

    assert [rule.times for rule in plan.left()] == [2]


def test_new_rules_replace_old_ones():
    """Rules are replaced as a whole, and an empty list clears them."""
    plan = FaultPlan()
    plan.replace([FaultRule(status=503)])
    plan.replace([FaultRule(status=429)])

    assert [rule.status for rule in plan.left()] == [429]

    plan.replace([])

    assert plan.left() == []


@pytest.mark.parametrize("status", range(400, 600))
def test_any_error_status_has_an_envelope(status):
    """Any error status that may be planned has a default answer in the intake's envelope, known to HTTP or not."""
    answer = planned_answer(FaultRule(status=status), status)

    assert answer.status == status
    error = json.loads(answer.body)["errors"][0]
    assert error["status"] == str(status)
    assert error["title"]
    assert error["detail"]


@pytest.mark.parametrize("status", [200, 202, 302])
def test_a_status_that_is_no_error_has_an_empty_object(status):
    """Without a body, a planned status that is no error goes out with `{}`, as the intake's own 202 does."""
    assert planned_answer(FaultRule(status=status), status).body == b"{}"
