"""Budgets over HTTP: the rules with what is used of them, and their forms."""

import re
from itertools import count

_NUMBERS = count(1)


def terms(**changes: str) -> dict[str, str]:
    """The form of a budget of an agent of its own."""
    filled = {"scope": "agent", "scopeId": f"spender-{next(_NUMBERS)}", "window": "1d", "capUsd": "2.5"}
    return {**filled, "action": "block", "warningThresholdPct": "80", **changes}


def test_a_rule_is_made_used_changed_and_deleted(owner, platform):
    """What was spent is shown beside what there is."""
    form = terms()
    made = owner.follow(owner.send("/budgets/new", form))
    item = {"traceId": form["scopeId"], "agentId": form["scopeId"], "status": "success", "costUsd": 0.5}
    platform.server.agent.ingest(item)
    used = owner.get("/budgets")
    [path] = [
        path for path in re.findall(r'href="(/budgets/bud_\w+)"', used.text) if form["scopeId"] in owner.get(path).text
    ]
    changed = owner.follow(owner.send(path, {**form, "capUsd": "9"}))
    deleted = owner.follow(owner.send(f"{path}/delete", of=path))

    assert "holds from the next decision on" in made.said
    assert re.search(rf"agent {form['scopeId']} \$2.50 a day \$0.50 \$2.00", used.said), used.said
    assert re.search(rf"agent {form['scopeId']} \$9.00 a day \$0.50 \$8.50", changed.said)
    assert form["scopeId"] not in deleted.said


def test_what_was_typed_stays(owner):
    """Each field that is wrong says so."""
    seen = owner.send("/budgets/new", terms(capUsd="a lot", warningThresholdPct="many"))

    assert seen.status == 400
    assert 'id="capUsd-error"' in seen.text
    assert 'id="warningThresholdPct-error"' in seen.text
    assert 'value="a lot"' in seen.text


def test_a_threshold_beyond_everything_is_refused_at_its_field(owner):
    """The model's own limits are said at the field they are about."""
    seen = owner.send("/budgets/new", terms(warningThresholdPct="101"))

    assert seen.status == 400
    assert 'id="warningThresholdPct-error"' in seen.text


def test_a_budget_of_the_organization_names_nobody(owner):
    """The rule of the platform is said at its field."""
    seen = owner.send("/budgets/new", terms(scope="org"))

    assert seen.status == 400
    assert 'id="scopeId-error"' in seen.text


def test_who_may_not_edit_sees_no_controls(sign_in, owner):
    """A viewer reads them."""
    owner.send("/budgets/new", terms())
    viewer = sign_in("viewer")

    assert "/budgets/bud_" not in viewer.get("/budgets").text
    assert viewer.get("/budgets/new").status == 403
