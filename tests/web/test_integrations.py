"""Settings, Integrations, over HTTP: set-up with a wrong key and a right one, the live state, parked logs, backfill."""

import re
from collections.abc import Iterator
from itertools import count

import pytest
from harness import DATADOG_KEY, wait_for

_NUMBERS = count(1)
NEW = "/settings/integrations/new"


def fields(**changes: str) -> dict[str, str]:
    """The form of a new destination, with a name of its own."""
    filled = {"name": f"Datadog {next(_NUMBERS)}", "site": "sandbox", "apiKey": DATADOG_KEY, "service": "execlave"}
    return {**filled, "ddtags": "env:test", "heartbeat": "", **changes}


def path_in(seen) -> str:
    """The page of the destination that a page is about."""
    found = re.search(r'action="(/settings/integrations/dst_\w+)/test"', seen.text)
    assert found, seen.said
    return found[1]


@pytest.fixture
def draft(owner) -> Iterator[str]:
    """The page of a destination whose test has passed; it collects nothing that other tests send."""
    seen = owner.send(NEW, fields())
    assert "Test connection: passed" in seen.said
    path = path_in(seen)
    yield path
    owner.send(f"{path}/disable", of=path)


class TestSetUp:
    def test_a_wrong_key_says_why_and_is_not_enabled(self, owner):
        """The step that failed, what Datadog answered, what to do; the second step was not tried."""
        seen = owner.send(NEW, fields(apiKey="0" * 32))

        assert "Test connection: failed" in seen.said
        assert "KEY_OR_SITE · Datadog answered 403" in seen.said
        assert "compare the site with the address you log in at" in seen.said
        assert "not tried" in seen.said
        assert "/enable" not in seen.text

    def test_enabling_without_a_passed_test_is_refused(self, owner):
        """Also when somebody sends the form that the page does not show."""
        path = path_in(owner.send(NEW, fields(apiKey="0" * 32)))

        seen = owner.send(f"{path}/enable", of=path)

        assert seen.status == 409
        assert "has not passed Test connection" in seen.said
        assert "draft" in owner.get(path).said

    def test_a_right_key_is_tested_enabled_and_disabled(self, owner, draft):
        """Before Enable the page says what Datadog makes of each status; after Disable its gap begins."""
        before = owner.get(draft).said
        enabled = owner.follow(owner.send(f"{draft}/enable", of=draft)).said
        disabled = owner.follow(owner.send(f"{draft}/disable", of=draft)).said

        assert "flagged for review emergency" in before
        assert "Every trace committed from now on is delivered." in enabled
        assert "flagged for review emergency" not in enabled
        assert "can be backfilled afterwards" in disabled

    def test_what_was_typed_stays_but_the_key(self, owner):
        """A wrong site is named at its field, and everything but the key is still there."""
        seen = owner.send(NEW, fields(name="Kept", site="us9.datadoghq.com", ddtags="team:kept"))

        assert seen.status == 400
        assert 'id="site-error"' in seen.text
        assert 'value="us9.datadoghq.com"' in seen.text
        assert 'value="team:kept"' in seen.text
        assert DATADOG_KEY not in seen.text

    def test_a_key_is_in_no_page(self, owner, draft):
        """Only its last four characters are shown."""
        for path in (draft, "/settings/integrations"):
            assert DATADOG_KEY not in owner.get(path).text
        assert DATADOG_KEY[-4:] in owner.get(draft).text


class TestEdit:
    def test_settings_hold_at_once(self, owner, draft):
        """Name, service, tags and the heartbeat."""
        seen = owner.follow(owner.send(f"{draft}/edit", fields(name="Renamed", ddtags="team:b"), of=draft))

        assert "Saved." in seen.said
        assert "Renamed" in seen.said
        assert 'value="team:b"' in seen.text

    def test_a_wrong_tag_is_said_at_its_field(self, owner, draft):
        """And nothing is changed."""
        seen = owner.send(f"{draft}/edit", fields(name="x" * 101), of=draft)

        assert seen.status == 400
        assert 'id="name-error"' in seen.text

    def test_a_new_key_that_fails_does_not_take_over(self, owner, platform, draft):
        """The old one serves; one that passes takes over."""
        owner.send(f"{draft}/enable", of=draft)
        failed = owner.send(f"{draft}/rotate", {"apiKey": "1" * 32}, of=draft)
        new = "a" * 32
        platform.sandbox.accept(DATADOG_KEY, new)
        passed = owner.send(f"{draft}/rotate", {"apiKey": new}, of=draft)

        assert "Test connection: failed" in failed.said
        assert "the present one serves" in failed.said
        assert DATADOG_KEY[-4:] in failed.said
        assert "Test connection: passed" in passed.said
        assert "key in use ends in aaaa" in passed.said


class TestState:
    def test_it_shows_what_was_delivered_and_what_was_refused(self, owner, platform):
        """Delivered in 24 hours, the last answers, the parked log with Datadog's answer; a requeue sends it again."""
        path = "/settings/integrations/" + platform.server.admin.get("/api/v1/integrations").data[0]["id"]
        platform.server.agent.ingest({"traceId": "fine", "agentId": "a", "status": "success"})
        platform.server.wait_until_delivered()
        platform.sandbox.fail({"status": 400, "contains": "poison", "times": None})
        platform.server.agent.ingest({"traceId": "poison", "agentId": "a", "status": "success"})
        wait_for(lambda: "Look at them" in owner.get(path).text, "a parked log on the page")
        platform.sandbox.fail()
        shown = owner.get(path).said
        parked = owner.get(f"{path}/parked")
        after = owner.follow(owner.send(f"{path}/requeue", of=f"{path}/parked")).said

        assert re.search(r"Delivered, 24 h [1-9]", shown)
        assert "202" in shown
        assert "poison" in parked.said
        assert "400" in parked.said
        assert "1 log waits for delivery again" in after
        platform.server.wait_until_delivered()
        assert "poison" in {log["execlave"]["trace_id"] for log in platform.sandbox.logs()}

    def test_the_overview_counts_the_day(self, owner, platform):
        """Traces, errors and violations of 24 hours, and how delivery does."""
        item = {"traceId": "counted", "agentId": "a"}
        platform.server.agent.ingest(
            *({**item, "metadata": {"spanId": s}, "status": s} for s in ("error", "policy_blocked"))
        )

        seen = owner.get("/overview")

        numbers = re.search(r"Traces, 24 h ([\d,]+) ([\d,]+) errors? Violations, 24 h ([\d,]+)", seen.said)
        assert numbers, seen.said
        assert all(int(number) >= 1 for number in numbers.groups())
        assert "enabled" in seen.said


class TestBackfill:
    def test_a_destination_gets_what_was_before_it(self, owner, platform, draft):
        """A span of time is queued, to its end, and what was delivered is not sent twice."""
        platform.server.agent.ingest({"traceId": "before", "agentId": "a", "status": "success"})
        owner.send(f"{draft}/enable", of=draft)
        span = {"from": "2020-01-01T00:00", "to": "2100-01-01T00:00"}

        first = owner.follow(owner.send(f"{draft}/backfill", span, of=f"{draft}/backfill")).said
        again = owner.follow(owner.send(f"{draft}/backfill", span, of=f"{draft}/backfill")).said

        assert re.search(r"[1-9]\d* batch(es)? (is|are) queued", first)
        assert "0 batches are queued" in again

    def test_a_gap_is_filled(self, owner, draft):
        """The gap of a destination that was disabled is offered, and gone when it is filled."""
        for step in ("enable", "disable", "enable"):
            owner.send(f"{draft}/{step}", of=draft)
        offered = owner.get(draft).said

        filled = owner.follow(owner.send(f"{draft}/backfill", {"gap": "yes"}, of=f"{draft}/backfill")).said

        assert "Fill the gap" in offered
        assert "Fill the gap" not in filled

    def test_a_wrong_time_is_said_at_its_field(self, owner, draft):
        """With what was typed."""
        owner.send(f"{draft}/enable", of=draft)
        seen = owner.send(f"{draft}/backfill", {"from": "yesterday", "to": "2100-01-01T00:00"}, of=f"{draft}/backfill")

        assert seen.status == 400
        assert 'id="from-error"' in seen.text


class TestRoles:
    @pytest.mark.parametrize("role", ["viewer", "analyst", "approver"])
    def test_who_may_not_edit_sees_no_controls(self, sign_in, draft, role):
        """The state is there, the forms are not."""
        text = sign_in(role).get(draft).text

        assert "/test" not in text
        assert "/rotate" not in text
        assert "/requeue" not in text
