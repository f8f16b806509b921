"""The published SDK against the server, unmodified: what it calls and what it makes of the answers."""

import threading
import uuid
from typing import Any

import pytest
from execlave import AgentPausedError, ExeclaveAuthError, ExeclaveError, PolicyBlockedError
from execlave.instrumentation import record_llm_call, record_tool_call
from harness import Platform, sdk_client, wait_for

NEVER_ISSUED = "exe_prod_" + "A" * 43


@pytest.fixture
def agent_id() -> str:
    """The external id of an agent of this test's own."""
    return f"agent-{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=["v1", None], ids=["/api/v1", "/api"])
def exe(request, platform: Platform):
    """A client of the SDK, once for each of the two prefixes it may use."""
    with platform.sdk(api_version=request.param) as client:
        yield client


class TestPing:
    def test_a_good_key_is_told_from_a_bad_one(self, platform):
        """`ping` is true with a key that was issued, and false with one that was not or was revoked."""
        made = platform.installation.run_json("key", "create")
        platform.installation.run("key", "revoke", made["id"])
        pings = []
        for key in (platform.installation.api_key, platform.installation.admin_key, NEVER_ISSUED, made["apiKey"]):
            with sdk_client(platform.server.url, key) as client:
                pings.append(client.ping())

        assert pings == [True, True, False, False]


class TestRegister:
    def test_registering_again_changes_nothing(self, platform, exe, agent_id):
        """Called on every start, `register_agent` gives the same agent each time, and never resumes a paused one."""
        facts: dict[str, Any] = {"name": "Support Bot", "autonomy_level": "advise", "owner_email": "a@b.example"}
        first = exe.register_agent(agent_id, **facts)
        before = platform.server.agent.get(f"/api/v1/agents/{first.id}").data
        platform.server.admin.patch(f"/api/v1/agents/{first.id}/pause", {})
        second = exe.register_agent(agent_id, **facts)
        after = platform.server.agent.get(f"/api/v1/agents/{first.id}").data

        assert (second.id, second.agent_id, second.environment) == (first.id, agent_id, "production")
        assert (first.status, second.status) == ("active", "paused")
        assert {**before, "status": "paused", "updatedAt": None} == {**after, "updatedAt": None}

    def test_what_was_said_is_kept(self, platform, exe, agent_id):
        """Everything registration says of an agent can be read back."""
        said = {
            "description": "Answers mail",
            "owner_email": "owner@example.com",
            "allowed_data_sources": ["crm"],
            "allowed_actions": ["send_email"],
            "requires_human_approval_for": ["refund"],
            "tags": ["vip"],
            "metadata": {"team": {"name": "support"}},
        }
        exe.register_agent(agent_id, "Bot", type="copilot", platform="langchain", environment="staging", **said)

        kept = platform.server.agent.get(f"/api/v1/agents/{agent_id}").data
        assert (kept["type"], kept["platform"], kept["environment"]) == ("copilot", "langchain", "staging")
        assert (kept["ownerEmail"], kept["allowedDataSources"]) == ("owner@example.com", ["crm"])
        assert (kept["allowedActions"], kept["requiresHumanApprovalFor"]) == (["send_email"], ["refund"])
        assert (kept["description"], kept["tags"], kept["metadata"]) == ("Answers mail", ["vip"], said["metadata"])
        assert kept["autonomyLevel"] is None

    def test_a_change_is_taken_and_a_level_once_declared_is_kept(self, exe, agent_id):
        """A new name takes effect; an autonomy level that is not said again stays."""
        exe.register_agent(agent_id, "Old", autonomy_level="autonomous")
        exe.register_agent(agent_id, "New")

        found = exe._request("GET", exe._api_path(f"/agents/{agent_id}"))["data"]
        assert (found["name"], found["autonomyLevel"]) == ("New", "autonomous")

    def test_each_environment_is_an_agent_of_its_own(self, exe, agent_id):
        """The same external id in two environments is two agents with ids of their own."""
        ids = {exe.register_agent(agent_id, "Bot", environment=name).id for name in ("production", "staging")}

        assert len(ids) == 2

    def test_a_failed_registration_falls_back_to_the_search(self, exe, agent_id):
        """When registering fails, the SDK searches the agent by its id, and finds the one of its environment."""
        production = exe.register_agent(agent_id, "Bot")
        staging = exe.register_agent(agent_id, "Bot", environment="staging")
        exe.register_agent(f"{agent_id}-2", f"Looks like {agent_id}")
        found = [
            exe.register_agent(agent_id, "Bot", environment=name, autonomy_level="godlike")
            for name in ("production", "staging")
        ]

        assert [agent.id for agent in found] == [production.id, staging.id]

    def test_a_refused_registration_of_an_unknown_agent_is_an_error(self, exe, agent_id):
        """What is not valid and cannot be found is raised, with the server's words."""
        with pytest.raises(ExeclaveError, match="autonomyLevel"):
            exe.register_agent(agent_id, "Bot", autonomy_level="godlike")

    def test_a_search_finds_by_id_and_by_name(self, platform, agent_id):
        """The search takes any part of id or name, whatever its case, the exact id first, page by page."""
        agent = platform.server.agent
        for suffix in ("-b", "-a", ""):
            agent.post("/api/v1/agents", {"agentId": agent_id + suffix, "name": f"Name of {agent_id}{suffix}"})
        found = agent.get(f"/api/v1/agents?search={agent_id}").json
        upper = agent.get(f"/api/v1/agents?search=NAME%20OF%20{agent_id.upper()}").json
        page = agent.get(f"/api/v1/agents?search={agent_id}&limit=1&offset=1").json
        none = agent.get("/api/v1/agents?search=%25_nobody").json

        assert [each["agentId"] for each in found["data"]] == [agent_id, f"{agent_id}-a", f"{agent_id}-b"]
        assert found["meta"]["total"] == upper["meta"]["total"] == page["meta"]["total"] == 3
        assert [each["agentId"] for each in page["data"]] == [f"{agent_id}-a"]
        assert none == {"data": [], "meta": {"total": 0}}

    @pytest.mark.parametrize("name", ["with space", "a/b", "ünï-😀", "a?b#c", "100%", "quote'\"", "x" * 256])
    def test_any_id_is_an_id(self, platform, exe, name):
        """External ids are the caller's: whatever they hold, the agent is registered, found, asked for and judged."""
        name = name.replace("x" * 256, uuid.uuid4().hex * 8)
        agent = exe.register_agent(name, "Odd")

        assert exe.check_agent_status(name) == "active"
        assert exe.enforce_policy(name, "may I?")["allowed"] is True
        assert platform.server.agent.get(f"/api/v1/agents/{agent.id}").data["agentId"] == name


class TestStatus:
    def test_a_pause_is_seen_when_asked_for(self, platform, exe, agent_id):
        """`check_agent_status` tells what the registry says, by the agent's UUID."""
        agent = exe.register_agent(agent_id, "Bot")
        seen = [exe.check_agent_status(agent_id)]
        for verb in ("pause", "resume"):
            platform.server.admin.patch(f"/api/v1/agents/{agent.id}/{verb}", {})
            seen.append(exe.check_agent_status(agent_id))

        assert seen == ["active", "paused", "active"]

    @pytest.mark.parametrize("status", ["inactive", "archived"])
    def test_what_stops_an_agent_is_told_as_paused(self, platform, exe, agent_id, status):
        """The SDK obeys only `paused`, so that is what it is told of an agent that may not act for another reason."""
        agent = exe.register_agent(agent_id, "Bot")
        platform.installation.rows("update agents set status = ? where id = ?", status, agent.id)

        assert exe.check_agent_status(agent_id) == "paused"

    def test_the_sdks_own_polling_stops_and_resumes_the_client(self, platform, exe, agent_id):
        """Seen by the status poll, a pause stops new traces in the client, and a resume lets them on."""
        agent = exe.register_agent(agent_id, "Bot")
        exe._poll_interval_seconds = 0.05
        poll = threading.Thread(target=exe._status_poll_loop)
        poll.start()
        try:
            platform.server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {"reason": "under review"})
            wait_for(lambda: exe._state == "PAUSED", "a paused client")
            with pytest.raises(AgentPausedError):
                exe.start_trace(agent_id=agent_id)
            platform.server.admin.patch(f"/api/v1/agents/{agent.id}/resume")
            wait_for(lambda: exe._state == "ACTIVE", "a client that goes on")
            exe.start_trace(agent_id=agent_id).finish()
        finally:
            exe.shutdown()
            poll.join()

        assert exe._agents[agent_id].status == "active"

    def test_a_cached_permission_does_not_survive_a_pause_that_was_seen(self, platform, exe, agent_id):
        """Once the client knows of the pause, it asks again, and the server refuses what it allowed before."""
        agent = exe.register_agent(agent_id, "Bot")
        allowed = [exe.enforce_policy(agent_id, "may I?") for _ in range(2)]
        platform.server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {"reason": "under review"})
        exe._state = "PAUSED"  # as its poll sets it
        with pytest.raises(PolicyBlockedError, match="under review") as blocked:
            exe.enforce_policy(agent_id, "may I?")

        assert allowed[0] == allowed[1]  # the second came from the cache
        assert blocked.value.violations[0]["policyType"] == "agent_status"

    def test_the_heartbeat_is_noted(self, platform, exe, agent_id):
        """The SDK's heartbeat, sent to the agent's UUID, is the agent's last sign of life."""
        agent = exe.register_agent(agent_id, "Bot")
        before = platform.server.agent.get(f"/api/v1/agents/{agent.id}").data["lastSeenAt"]
        answer = exe._request("POST", exe._api_path(f"/agents/{agent.id}/heartbeat"), json={"lastPolicyCheckAt": None})
        after = platform.server.agent.get(f"/api/v1/agents/{agent.id}").data["lastSeenAt"]

        assert before is None
        assert after is not None
        assert answer["data"]["agentId"] == agent_id

    def test_the_heartbeat_thread_is_answered(self, platform, agent_id):
        """The client's own heartbeat thread reaches the server."""
        with platform.sdk() as exe:
            agent = exe.register_agent(agent_id, "Bot")
            exe.heartbeat_interval_seconds = 0.05
            beating = threading.Thread(target=exe._heartbeat_loop)
            beating.start()
            path = f"/api/v1/agents/{agent.id}"
            seen = wait_for(lambda: platform.server.agent.get(path).data["lastSeenAt"], "a heartbeat")
            exe.shutdown()
            beating.join()

        assert seen


class TestEnforce:
    def test_allowed_blocked_and_a_wrong_key_as_the_sdk_sees_them(self, platform, exe, agent_id):
        """Allowed returns, blocked raises PolicyBlockedError with its violations, a bad key ExeclaveAuthError."""
        agent = exe.register_agent(agent_id, "Bot")
        allowed = exe.enforce_policy(
            agent_id,
            "may I?",
            metadata={"a": [1]},
            estimated_cost=0.1,
            tools=["send_email"],
            tool_descriptors=[exe.tool_descriptor("server", "send_email", {"name": "send_email"}, "Sends")],
            conversation_history=[{"role": "user", "content": "hello"}],
        )
        output = exe.enforce_tool_output(agent_id, "search", {"found": 1})
        platform.server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {})
        with pytest.raises(PolicyBlockedError) as blocked:
            exe.enforce_policy(agent_id, "may I now?")
        with sdk_client(platform.server.url, NEVER_ISSUED) as stranger, pytest.raises(ExeclaveAuthError):
            stranger.enforce_policy(agent_id, "may I?")

        assert allowed["allowed"] is output["allowed"] is True
        assert "source" not in allowed  # it was the server that allowed, not a rule for outages
        assert blocked.value.violations[0]["enforcementMode"] == "block"

    def test_an_agent_nobody_registered_may_act(self, exe, agent_id):
        """Without a policy against it, an unregistered agent is allowed, by its external id."""
        assert exe.enforce_policy(agent_id, "may I?")["allowed"] is True

    def test_a_signed_client_does_it_all(self, platform, agent_id):
        """With `sign_requests` every call of the contract is accepted, and so is a search, whose body is empty."""
        with platform.sdk(sign_requests=True) as exe:
            agent = exe.register_agent(agent_id, "Bot")
            again = exe.register_agent(agent_id, "Bot", autonomy_level="godlike")  # falls back to the search
            exe.start_trace(agent_id=agent_id).set_input("é").finish()

            assert exe.ping()
            assert again.id == agent.id
            assert exe.check_agent_status(agent_id) == "active"
            assert exe.enforce_policy(agent_id, "é😀")["allowed"] is True
            assert exe.flush() == {"sent": 1, "rejected": [], "undelivered": 0}


class TestTraces:
    def test_helpers_that_record_calls(self, platform, exe, agent_id):
        """`record_llm_call` and `record_tool_call` trace nested spans of one trace, and run nothing when paused."""
        agent = exe.register_agent(agent_id, "Bot")
        with (
            record_llm_call(exe, agent_id=agent_id, model="gpt-4o", input_text="hi"),
            record_tool_call(exe, agent_id=agent_id, tool_name="search", input_text="x"),
        ):
            pass
        platform.server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {})
        with pytest.raises(PolicyBlockedError), record_tool_call(exe, agent_id=agent_id, tool_name="b", input_text="y"):
            pytest.fail("the tool ran")
        exe.flush()

        found = platform.sandbox.wait_for_logs(lambda log: log.get("agent_id") == agent_id, 3)
        (blocked,) = [log for log in found if log["status"] == "policy_blocked"]
        logs = [log for log in found if log is not blocked]
        assert (blocked["span_type"], blocked["span_name"]) == ("tool", "b")
        assert [log["span_type"] for log in logs] == ["tool", "llm"]
        assert len({log["trace_id"] for log in logs}) == 1
        assert logs[0]["execlave"]["parent_span_id"] == logs[1]["execlave"]["span_id"]

    def test_refused_traces_are_told_to_the_application(self, platform, agent_id):
        """Traces the server refuses reach `on_trace_rejected` with id, code and reason, and are not sent again."""
        told: list[dict[str, Any]] = []
        with platform.sdk(on_trace_rejected=told.extend) as exe:
            for status in ("success", "no such status"):
                exe.start_trace(trace_id=f"{agent_id} {status}", agent_id=agent_id).finish(status)
            mixed = exe.flush()
            exe.start_trace(trace_id=f"{agent_id} alone", agent_id=agent_id).finish("neither")
            alone = exe.flush()

        assert (mixed["sent"], len(mixed["rejected"]), mixed["undelivered"]) == (1, 1, 0)
        assert (alone["sent"], len(alone["rejected"]), alone["undelivered"]) == (0, 1, 0)
        assert [each["traceId"] for each in told] == [f"{agent_id} no such status", f"{agent_id} alone"]
        assert {each["code"] for each in told} == {"VALIDATION_ERROR"}

    def test_a_full_buffer_is_sent_at_once(self, exe, agent_id):
        """At a hundred spans the SDK sends on the application's own thread; nothing is left for the flush."""
        for _ in range(100):
            exe.start_trace(agent_id=agent_id).finish()

        assert exe.flush() == {"sent": 0, "rejected": [], "undelivered": 0}

    def test_values_of_every_kind_are_taken(self, exe, agent_id):
        """Whatever JSON an application puts in is stored."""
        trace = exe.start_trace(agent_id=agent_id, session_id="s", user_id="u", tags=["a"], metadata={"k": [None]})
        trace.set_input([1, {"a": None, "ü": "😀\ud83d"}]).set_output(3.5).set_duration(7)
        trace.finish("success", effect_evidence={"basis": "read_back", "effect_ref": "order-1"})

        assert exe.flush() == {"sent": 1, "rejected": [], "undelivered": 0}
