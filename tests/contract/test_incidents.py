"""Incidents from the violation that opens one to its resolution, on every engine."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from execlave_server.actions import open_incidents
from execlave_server.actions.edit_policy import create_policy
from execlave_server.actions.export_incident import export_incident
from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.handle_incident import (
    acknowledge_incident,
    assign_incident,
    comment_incident,
    contain_incident,
    open_incident,
    reopen_incident,
    resolve_incident,
)
from execlave_server.actions.open_incidents import IncidentOpener
from execlave_server.actions.read_incidents import count_incidents, find_incident, list_incidents, read_incident
from execlave_server.actions.services import Services
from execlave_server.errors import ConflictError, ForbiddenError, NotFoundError, ValidationFailedError
from execlave_server.model.agents import AgentStatus
from execlave_server.model.incidents import Incident, IncidentState, Severity, StepKind
from execlave_server.model.people import PersonRole
from history import MINUTE_US, History, begin_history, span
from office import services_on
from policies import body_of

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_evidence.py"


@pytest.fixture
async def history(store, clock, tmp_path) -> History:
    """An organization with a registered agent and a policy that blocks what costs more than a cent."""
    history = await begin_history(services_on(store, clock, tmp_path), clock)
    await history.register()
    body = body_of("cost_limit", {"max_cost_per_execution": 0.01})
    await create_policy(history.office.services, history.office.organization.number, "person:x", body)
    await history.look()
    return history


@pytest.fixture
async def others(engine, tmp_path, clock) -> AsyncIterator[list[Services]]:
    """Two more servers on the same database."""
    stores = [await engine.open(tmp_path, clock) for _ in range(2)]
    yield [services_on(each, clock, tmp_path) for each in stores]
    for each in stores:
        await each.close()


async def listed(history: History, state: str = "") -> list[Incident]:
    """The incidents, the newest first."""
    return (await list_incidents(history.office.services, history.ada, state=state)).incidents


async def the_incident(history: History) -> Incident:
    """The only incident there is, after a look."""
    await history.look()
    [incident] = await listed(history)
    return incident


async def steps(history: History, incident: str) -> list[tuple[str, str | None, int]]:
    """The timeline: what, in which words, how many violations."""
    file = await read_incident(history.office.services, history.ada, incident)
    return [(step.kind, step.text, step.violations) for step in file.steps]


class TestOpening:
    async def test_a_block_opens_an_incident(self, history, clock):
        """A decision that blocks is an incident with agent, policy and severity, its trace, and an audit entry."""
        decision = await history.enforce_cost(1.0)
        incident = await the_incident(history)
        file = await read_incident(history.office.services, history.ada, incident.id)

        assert (incident.agent_reference, incident.agent_name, incident.environment) == ("bot", "Bot", "production")
        assert (incident.policy_name, incident.severity) == ("A cost_limit", Severity.HIGH)
        assert (incident.state, incident.violations, incident.opened_by) == (IncidentState.OPEN, 1, "server")
        assert incident.first_seen_us == incident.last_seen_us == clock.now_us()
        assert [each.trace_id for each in file.traces] == [decision.trace_id]
        assert [step.kind for step in file.steps] == [StepKind.OPENED]
        [told] = await history.office.told("incident.opened")
        assert (told["incident"], told["agent"], told["policy"]) == (incident.id, incident.agent, incident.policy)

    async def test_violations_are_grouped_within_the_window(self, history, clock):
        """More of the same within 15 minutes is counted; later it is another incident."""
        for _ in range(3):
            await history.enforce_cost(1.0)
            clock.advance(us=14 * MINUTE_US)
            await history.look()
        clock.advance(us=2 * MINUTE_US)
        await history.enforce_cost(1.0)
        await history.look()
        newest, first = await listed(history)

        assert (first.violations, newest.violations) == (3, 1)
        assert first.last_seen_us - first.first_seen_us == 28 * MINUTE_US
        assert await steps(history, first.id) == [("opened", None, 1), ("violations", None, 1), ("violations", None, 1)]

    async def test_what_ends_well_opens_nothing(self, history):
        """Success, errors and timeouts are no violations; flagged and limited traces are."""
        await history.ingest(*(span(status, "s", status=status) for status in ("success", "error", "timeout")))
        assert await history.look() == 0
        await history.ingest(span("flagged", "s", status="flagged_for_review"))
        await history.ingest(span("limited", "s", status="limit_exceeded"))

        incident = await the_incident(history)
        assert (incident.policy, incident.violations, incident.severity) == ("", 2, Severity.MEDIUM)

    async def test_the_sdks_report_joins_its_decisions_incident(self, history):
        """The block that the SDK reports under the decision's trace id is no second incident, together or later."""
        first, second = [await history.enforce_cost(1.0, trace_id=name) for name in ("a", "b")]
        await history.ingest(span(first.trace_id, "report", status="policy_blocked"))
        await history.look()
        await history.ingest(span(second.trace_id, "report", status="policy_blocked"))
        incident = await the_incident(history)

        assert incident.violations == 4
        assert incident.policy_name == "A cost_limit"

    async def test_a_paused_agents_attempts_open_nothing(self, history):
        """The kill switch at work is no new violation."""
        await set_agent_status(history.office.services, history.ada, "bot", AgentStatus.PAUSED, "stop")
        assert (await history.enforce()).outcome == "blocked"

        assert await history.look() == 0
        assert await listed(history) == []

    async def test_a_restart_repeats_nothing_and_misses_nothing(self, history):
        """A server that starts goes on where the last one was, whatever it remembered itself."""
        await history.enforce_cost(1.0)
        running = IncidentOpener(history.office.services)
        opened = [await running.look(), await running.look(), await history.look()]
        await history.enforce_cost(1.0)
        opened += [await history.look(), await running.look()]

        assert opened == [1, 0, 0, 0, 0]
        assert (await the_incident(history)).violations == 2

    async def test_two_servers_open_each_once(self, history, others):
        """Servers that look at the same moment open one incident between them, and count every violation once."""
        openers = [IncidentOpener(services) for services in (history.office.services, *others)]
        for _ in range(5):
            await history.enforce_cost(1.0)
            await asyncio.gather(*(opener.look() for opener in openers))
        await asyncio.gather(*(opener.look() for opener in openers))

        assert (await the_incident(history)).violations == 5
        assert len(await history.office.told("incident.opened")) == 1

    async def test_organizations_are_kept_apart(self, history, clock):
        """The violation of one organization is seen by nobody of another."""
        other = await begin_history(history.office.services, clock, "Other")
        await other.ingest(span("theirs", "s", status="policy_blocked"))
        await history.look()
        [theirs] = await listed(other)

        assert await listed(history) == []
        with pytest.raises(NotFoundError):
            await find_incident(history.office.services, history.ada, theirs.id)
        with pytest.raises(NotFoundError):
            await resolve_incident(history.office.services, history.ada, theirs.id, "not ours")

    async def test_what_is_kept_of_an_incident_is_bounded(self, history, monkeypatch):
        """Past the most that is listed, traces and steps are only counted."""
        monkeypatch.setattr(open_incidents, "MEMBERS_MAX", 3)
        monkeypatch.setattr(open_incidents, "TOLD_MAX", 2)
        for number in range(6):
            await history.ingest(span(f"t{number}", "s", status="policy_blocked"))
            await history.look()
        incident = await the_incident(history)
        file = await read_incident(history.office.services, history.ada, incident.id)

        assert incident.violations == 6
        assert [each.trace_id for each in file.traces] == ["t0", "t1", "t2"]
        assert [step.kind for step in file.steps] == ["opened", "violations", "violations"]

    async def test_a_resolved_incident_stays_resolved(self, history, clock):
        """A violation after the resolution opens another incident, however soon it comes."""
        await history.enforce_cost(1.0)
        incident = await the_incident(history)
        await resolve_incident(history.office.services, history.ada, incident.id, "fixed")
        clock.advance(seconds=1)
        await history.enforce_cost(1.0)
        await history.look()

        assert [each.state for each in await listed(history)] == [IncidentState.OPEN, IncidentState.RESOLVED]


class TestHandling:
    @pytest.fixture
    async def incident(self, history) -> Incident:
        """An open incident."""
        await history.enforce_cost(1.0)
        return await the_incident(history)

    async def test_from_open_to_resolved_and_back(self, history, incident, clock):
        """Each step changes the state, is a line of the timeline in the words given, and an audit entry."""
        services, ada = history.office.services, history.ada
        await acknowledge_incident(services, ada, incident.id)
        await assign_incident(services, ada, incident.id, ada.id)
        await comment_incident(services, ada, incident.id, "  Looking at the prompt. ")
        resolved = await resolve_incident(services, ada, incident.id, "The limit was right.")
        reopened = await reopen_incident(services, ada, incident.id, "It happened again.")

        assert (resolved.state, resolved.resolution, resolved.resolved_at_us) == (
            IncidentState.RESOLVED,
            "The limit was right.",
            clock.now_us(),
        )
        assert (reopened.state, reopened.resolution, reopened.assignee_email) == ("open", None, "ada@example.com")
        assert await steps(history, incident.id) == [
            ("opened", None, 1),
            ("acknowledged", None, 0),
            ("assigned", None, 0),
            ("comment", "Looking at the prompt.", 0),
            ("resolved", "The limit was right.", 0),
            ("reopened", "It happened again.", 0),
        ]
        kinds = [entry.kind for entry in await history.office.entries() if entry.subject == f"incident:{incident.id}"]
        assert kinds == [
            f"incident.{kind}" for kind in ("opened", "acknowledged", "assigned", "commented", "resolved", "reopened")
        ]
        [told] = await history.office.told("incident.resolved")
        assert len(told["text_digest"]) == 64

    async def test_containing_pauses_the_agent(self, history, incident):
        """Containing stops the agent's next decision, with the reason, and both are on record in one commit."""
        contained = await contain_incident(history.office.services, history.ada, incident.id, "It spends too much.")
        agent = await history.office.services.agents.find_fresh(history.ada, "bot")
        decision = await history.enforce()

        assert (agent.status, agent.status_reason) == (AgentStatus.PAUSED, "It spends too much.")
        assert decision.outcome == "blocked"
        assert contained.state is IncidentState.OPEN
        assert (await steps(history, incident.id))[-1] == ("contained", "It spends too much.", 0)
        assert len(await history.office.told("agent.status_changed", "incident.contained")) == 2
        with pytest.raises(ConflictError, match="paused already"):
            await contain_incident(history.office.services, history.ada, incident.id, "again")

    async def test_an_unregistered_agent_cannot_be_contained(self, history):
        """Nothing is paused that is not there, and the answer says so."""
        await history.ingest(span("t", "s", agentId="stranger", status="policy_blocked"))
        incident = await the_incident(history)

        with pytest.raises(ConflictError, match="not registered"):
            await contain_incident(history.office.services, history.ada, incident.id, "stop")

    async def test_steps_that_make_no_sense_are_refused(self, history, incident):
        """Each refusal says why, and nothing changes."""
        services, ada = history.office.services, history.ada
        with pytest.raises(ValidationFailedError):
            await resolve_incident(services, ada, incident.id, "  ")
        with pytest.raises(ValidationFailedError):
            await comment_incident(services, ada, incident.id, "x" * 4_001)
        with pytest.raises(ValidationFailedError):
            await assign_incident(services, ada, incident.id, "usr_nobody")
        with pytest.raises(ConflictError):
            await reopen_incident(services, ada, incident.id, "why")
        await acknowledge_incident(services, ada, incident.id)
        with pytest.raises(ConflictError):
            await acknowledge_incident(services, ada, incident.id)

        assert [kind for kind, _, _ in await steps(history, incident.id)] == ["opened", "acknowledged"]

    async def test_an_analyst_reads_and_changes_nothing(self, history, incident):
        """Only who may edit incidents takes steps."""
        analyst = await history.office.person("analyst@example.com", PersonRole.ANALYST)

        assert (await find_incident(history.office.services, analyst, incident.id)).id == incident.id
        with pytest.raises(ForbiddenError):
            await acknowledge_incident(history.office.services, analyst, incident.id)
        with pytest.raises(ForbiddenError):
            await open_incident(history.office.services, analyst, "t")

    async def test_of_two_steps_at_once_one_is_told(self, history, incident):
        """Who was overtaken hears of it; the timeline has no step twice."""
        steps_taken = [
            resolve_incident(history.office.services, history.ada, incident.id, f"by {number}") for number in range(4)
        ]
        results = await asyncio.gather(*steps_taken, return_exceptions=True)

        assert sum(isinstance(each, Incident) for each in results) == 1
        assert all(isinstance(each, (Incident, ConflictError)) for each in results)
        assert [kind for kind, _, _ in await steps(history, incident.id)] == ["opened", "resolved"]

    @pytest.mark.usefixtures("incident")
    async def test_a_step_of_the_timeline_never_changes(self, run):
        """The database itself refuses to change or delete a step."""
        for statement in ("update incident_steps set text = 'x'", "delete from incident_steps"):
            with pytest.raises(Exception, match="never"):
                await run(statement)


class TestByHand:
    async def test_a_person_opens_one_on_any_trace(self, history):
        """A trace that nothing stopped can be an incident too; a second one on it is refused while that is open."""
        await history.ingest(span("odd", "s", status="success"))
        services = history.office.services
        incident = await open_incident(services, history.ada, "odd", severity=Severity.CRITICAL, reason="Strange.")

        assert (incident.severity, incident.violations, incident.opened_by) == ("critical", 0, history.ada.actor)
        assert await steps(history, incident.id) == [("opened", "Strange.", 0)]
        with pytest.raises(ConflictError, match=incident.id):
            await open_incident(services, history.ada, "odd")
        with pytest.raises(NotFoundError):
            await open_incident(services, history.ada, "nowhere")
        await resolve_incident(services, history.ada, incident.id, "nothing")
        assert (await open_incident(services, history.ada, "odd")).id != incident.id


class TestReading:
    async def test_pages_and_states(self, history, clock):
        """Pages follow each other; a state narrows; all are counted."""
        for number in range(5):
            await history.ingest(span(f"t{number}", "s", agentId=f"bot {number}", status="policy_blocked"))
            await history.look()
            clock.advance(seconds=number % 2)
        services, ada = history.office.services, history.ada
        every = await listed(history)
        await resolve_incident(services, ada, every[1].id, "done")
        await acknowledge_incident(services, ada, every[3].id)
        first = await list_incidents(services, ada, limit=3)
        second = await list_incidents(services, ada, limit=3, cursor=first.next or "")

        assert [each.id for each in first.incidents + second.incidents] == [each.id for each in every]
        assert second.next is None
        assert len(await listed(history, "unresolved")) == 4
        assert [each.id for each in await listed(history, "resolved")] == [every[1].id]
        assert await count_incidents(services, ada) == {"open": 3, "acknowledged": 1, "resolved": 1}
        with pytest.raises(ValidationFailedError):
            await listed(history, "closed")

    async def test_the_bundle_verifies_offline(self, history, tmp_path):
        """The evidence bundle has the incident, and a proof of each trace that the script checks; a change is found."""
        await history.enforce_cost(1.0, trace_id="a")
        await history.enforce_cost(2.0, trace_id="b")
        incident = await the_incident(history)
        bundle = await export_incident(history.office.services, history.ada, incident.id)
        (tmp_path / "incident.json").write_bytes(bundle)
        (tmp_path / "forged.json").write_bytes(bundle.replace(b"limit_exceeded", b"policy_blocked"))

        def verify(name: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-I", "-S", str(SCRIPT), str(tmp_path / name)]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

        good, forged = verify("incident.json"), verify("forged.json")
        said = json.loads(bundle)
        assert said["incident"]["id"] == incident.id
        assert len(said["evidence"]) == 2
        assert good.returncode == 0, good.stdout
        assert good.stdout.count("TRACE") == 2
        assert forged.returncode == 1
        assert len(await history.office.told("trace.content_read")) == 2
