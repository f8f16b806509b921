"""Enforce always governs: 200, 202, 403 with `allowed: false`, 401 for a key never issued, 503, and nothing else.

The SDK's adapters take any other answer for an error in instrumentation and run the tool.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import apsw
import pytest
from execlave import EnforcementUnavailableError
from harness import Answer, Platform

from execlave_server.model.keys import signature_of

PATH = "/api/v1/policies/enforce"
GOVERNING = {200, 202, 401, 403, 503}
GOOD = {"agentId": "nobody-registered-this", "input": "may I?"}
DEEP = 100_000
ASKS_MAX = 2_000  # far more than are asked before a pause is answered
ANY_BODY = [json.dumps(GOOD).encode(), b"no JSON", b"x" * 17_000_000]


def with_member(text: str) -> bytes:
    """A good body with one more member, written as it is."""
    return f'{{"agentId":"a","input":"x",{text}}}'.encode()


JUDGED = {
    "every field": json.dumps(
        {
            **GOOD,
            "environment": "staging",
            "metadata": {"traceId": "tr_1", "nested": {"a": [1, None, True]}},
            "estimatedCost": 0.25,
            "tools": ["send_email"],
            "toolDescriptors": [{"server": "s", "tool": "t", "descriptorHash": "h"}],
            "conversationHistory": [{"role": "user", "content": "hello"}],
            "toolOutputs": [{"name": "search", "input": None, "output": {"any": "thing"}}],
        }
    ).encode(),
    "nulls": with_member('"environment":null,"metadata":null,"estimatedCost":null,"tools":null,"toolOutputs":null'),
    "unknown fields": with_member('"somethingNew":{"deep":[1]},"v":2'),
    "half a surrogate pair": with_member('"metadata":{"a":"cut \\ud83d"}').replace(b'"x"', b'"cut \\ud83d"'),
    "half a pair as a key": with_member('"metadata":{"\\udc00":1}'),
    "an integer no machine word holds": with_member(f'"metadata":{{"n":{10**40}}},"estimatedCost":{10**40}'),
    "empty lists": with_member('"tools":[],"toolOutputs":[],"conversationHistory":[]'),
    "fifteen megabytes": json.dumps({**GOOD, "metadata": {"toolArguments": "x" * 15_000_000}}).encode(),
    "a control character": with_member('"metadata":{"a":"\\u0000","traceId":"a\\u0000"}'),
}
UNJUDGED = {
    "nothing": b"",
    "no JSON": b"may I?",
    "half of it": b'{"agentId":"a","input":',
    "an array": b"[]",
    "a text": b'"a"',
    "null": b"null",
    "no agentId": b'{"input":"x"}',
    "no input": b'{"agentId":"a"}',
    "agentId of a wrong type": b'{"agentId":7,"input":"x"}',
    "agentId null": b'{"agentId":null,"input":"x"}',
    "agentId empty": b'{"agentId":"","input":"x"}',
    "input of a wrong type": b'{"agentId":"a","input":{"text":"x"}}',
    "input empty": b'{"agentId":"a","input":""}',
    "tools of a wrong type": with_member('"tools":"send_email"'),
    "metadata of a wrong type": with_member('"metadata":[1]'),
    "cost of a wrong type": with_member('"estimatedCost":"much"'),
    "cost beyond numbers": with_member('"estimatedCost":1e999'),
    "not a number": with_member('"estimatedCost":NaN'),
    "not UTF-8": b'{"agentId":"a","input":"\xff"}',
    "nested metadata": with_member(f'"metadata":{{"a":{"[" * DEEP}{"]" * DEEP}}}'),
    "nested unknown field": with_member(f'"new":{"[" * DEEP}{"]" * DEEP}'),
    "NUL in agentId": b'{"agentId":"a\\u0000b","input":"x"}',
    "NUL in environment": with_member('"environment":"\\u0000"'),
    "compressed": bytes.fromhex("1f8b08000000000000ff"),
}


@pytest.fixture(scope="module")
def decisions(platform: Platform) -> Callable[[str], dict[str, Any]]:
    """Finds a decision as it was written down, by its id."""

    def find(decision_id: str) -> dict[str, Any]:
        ((document,),) = platform.installation.rows(
            "select json_object('outcome', outcome, 'agent', agent, 'agent_reference', agent_reference, 'environment',"
            " environment, 'violations', violations, 'action_digest', action_digest, 'trace_id', trace_id)"
            " from decisions where id = ?",
            decision_id,
        )
        return json.loads(document)

    return find


@pytest.fixture
def agent(platform: Platform) -> dict[str, Any]:
    """A registered agent of this test's own."""
    return platform.server.agent.post(
        "/api/v1/agents", {"agentId": f"agent-{uuid.uuid4().hex[:12]}", "name": "A", "environment": "production"}
    ).data


def assert_refused(answer: Answer, policy: str) -> dict[str, Any]:
    """A 403 that the SDK understands as a policy's block; its only violation."""
    assert answer.status == 403
    assert answer.json["allowed"] is False
    (violation,) = answer.json["violations"]
    assert violation["policyId"] == policy
    assert violation["enforcementMode"] == "block"
    assert {"policyName", "policyType", "message", "severity", "remediation", "retryable"} <= violation.keys()
    return violation


class TestBodies:
    @pytest.mark.parametrize("name", JUDGED)
    def test_what_can_be_judged_is_judged_and_written_down(self, platform, decisions, name):
        """Whatever says agent and input is judged, and the decision is stored before it is answered."""
        answer = platform.server.agent.post(PATH, JUDGED[name])

        assert answer.status == 200
        assert answer.json.keys() - {"traceId"} == {"allowed", "decisionId"}
        assert answer.json["allowed"] is True
        assert decisions(answer.json["decisionId"])["outcome"] == "allowed"

    @pytest.mark.parametrize("name", UNJUDGED)
    def test_what_cannot_be_judged_does_not_run(self, platform, decisions, name):
        """A body that does not say what is to be judged is answered 403 with `allowed: false`, never 400."""
        answer = platform.server.agent.post(PATH, UNJUDGED[name])

        assert_refused(answer, "invalid_request")
        assert decisions(answer.json["decisionId"])["outcome"] == "blocked"

    def test_a_body_over_the_limit_does_not_run(self, platform, decisions):
        """Twenty megabytes are answered 403 with `allowed: false`, never 413."""
        answer = platform.server.agent.post(PATH, json.dumps({**GOOD, "input": "x" * 20_000_000}).encode())

        assert_refused(answer, "payload_too_large")
        assert decisions(answer.json["decisionId"])["outcome"] == "blocked"

    def test_a_refusal_never_quotes_the_input(self, platform):
        """What a refusal says holds nothing of what was asked."""
        answer = platform.server.agent.post(PATH, b'{"agentId":"a","input":"confidential-words","tools":"secret-tool"}')

        assert_refused(answer, "invalid_request")
        assert b"confidential-words" not in answer.body
        assert b"secret-tool" not in answer.body

    def test_the_digest_is_of_what_an_approval_seals(self, platform, decisions):
        """Decisions on the same action have one digest, whatever its order of keys and what else is sent."""
        action = {**GOOD, "environment": "production", "tools": ["a", "b"], "metadata": {"k": 1, "l": [2]}}
        bodies = [
            json.dumps(action),
            json.dumps(dict(reversed(action.items())), indent=2),
            json.dumps({**action, "conversationHistory": [{"role": "user", "content": "hi"}], "toolOutputs": []}),
            json.dumps({**action, "metadata": {"k": 1, "l": [3]}}),
            json.dumps({**action, "tools": ["b", "a"]}),
        ]
        ids = [platform.server.agent.post(PATH, body.encode()).json["decisionId"] for body in bodies]
        digests = [decisions(decision_id)["action_digest"] for decision_id in ids]

        assert digests[0] == digests[1] == digests[2]
        assert len({digests[0], digests[3], digests[4]}) == 3

    def test_the_decision_says_what_was_asked(self, platform, decisions, agent):
        """A decision keeps the agent, the name it was called by, the environment and the caller's trace."""
        answer = platform.server.agent.enforce(
            agent["agentId"], environment="production", metadata={"traceId": "tr_of_caller"}
        )

        row = decisions(answer.json["decisionId"])
        assert (row["agent"], row["agent_reference"]) == (agent["id"], agent["agentId"])
        assert (row["environment"], row["trace_id"]) == ("production", "tr_of_caller")
        assert json.loads(row["violations"]) == []


class TestKeys:
    @pytest.mark.parametrize("body", ANY_BODY, ids=["good", "bad", "oversized"])
    @pytest.mark.parametrize("key", [None, "exe_prod_" + "A" * 43, "exe_prod_short", "other"])
    def test_a_key_never_issued_is_a_401(self, platform, key, body):
        """Without a key of this server's the answer is 401, whatever the body."""
        anyone = platform.server.anyone
        answer = (anyone.with_key(key) if key else anyone).post(PATH, body)

        assert answer.status == 401
        assert answer.json["error"]["code"] == "INVALID_API_KEY"

    @pytest.mark.parametrize("body", ANY_BODY, ids=["good", "bad", "oversized"])
    def test_a_revoked_key_authorizes_nothing(self, platform, decisions, body):
        """From the moment it is revoked, a key that just worked gets 403 with `allowed: false`, whatever the body."""
        made = platform.installation.run_json("key", "create")
        caller = platform.server.anyone.with_key(made["apiKey"])
        before = caller.post(PATH, GOOD)
        assert platform.installation.run("key", "revoke", made["id"]).returncode == 0
        after = caller.post(PATH, body)

        assert before.status == 200
        assert after.status == 403
        assert after.json["allowed"] is False
        assert decisions(after.json["decisionId"])["outcome"] == "blocked"

    def test_a_revoked_key_is_named_as_the_reason(self, platform):
        """The violation says that the key was revoked, and shows no more of it than its end."""
        made = platform.installation.run_json("key", "create")
        platform.installation.run("key", "revoke", made["id"])
        answer = platform.server.anyone.with_key(made["apiKey"]).post(PATH, GOOD)

        violation = assert_refused(answer, "api_key_revoked")
        assert made["apiKey"][-4:] in violation["message"]
        assert made["apiKey"].encode() not in answer.body


class TestSignatures:
    @pytest.mark.parametrize(
        ("stamp", "signature"),
        [
            ("now", "sha256=" + "0" * 64),
            ("now", ""),
            ("now", "sha256=Ünïcode"),
            ("an hour ago", "good"),
            ("", "good"),
            ("soon", "good"),
            ("-1", "good"),
            ("²", "good"),
            ("9" * 400, "good"),
            ("9" * 5_000, "good"),
        ],
        ids=lambda text: text if len(text) < 20 else f"{text[:10]}...{len(text)}",
    )
    def test_a_signature_that_does_not_verify_does_not_run(self, platform, decisions, stamp, signature):
        """A wrong signature, or a good one of another time, is answered 403 with `allowed: false`."""
        body, key = json.dumps(GOOD).encode(), platform.installation.api_key
        named = {"now": str(int(time.time())), "an hour ago": str(int(time.time()) - 3_600)}
        stamp = named.get(stamp, stamp)
        if signature == "good":
            signature = signature_of(key, stamp, body)
        answer = platform.server.agent.post(PATH, body, X_Execlave_Timestamp=stamp, X_Execlave_Signature=signature)

        assert_refused(answer, "invalid_signature")
        assert decisions(answer.json["decisionId"])["outcome"] == "blocked"

    def test_a_good_signature_is_judged(self, platform):
        """A signature over timestamp and raw body under the caller's key is accepted."""
        body, key, stamp = json.dumps(GOOD).encode(), platform.installation.api_key, str(int(time.time()))
        answer = platform.server.agent.post(
            PATH, body, X_Execlave_Timestamp=stamp, X_Execlave_Signature=signature_of(key, stamp, body)
        )

        assert answer.status == 200


class TestStoppedAgents:
    @pytest.mark.parametrize("status", ["paused", "inactive", "archived"])
    def test_a_stopped_agent_may_do_nothing_by_any_name(self, platform, decisions, agent, status):
        """By UUID or external id, in its environment, another one or none, a stopped agent's action is refused."""
        platform.installation.rows("update agents set status = ? where id = ?", status, agent["id"])
        for name in (agent["id"], agent["agentId"]):
            for more in ({}, {"environment": "production"}, {"environment": "development"}, {"environment": None}):
                answer = platform.server.agent.enforce(name, **more)

                violation = assert_refused(answer, "agent_status")
                assert status in violation["message"]
                row = decisions(answer.json["decisionId"])
                assert (row["outcome"], row["agent"]) == ("blocked", agent["id"])

    @pytest.mark.parametrize("status", ["active", "error"])
    def test_other_statuses_stop_nothing(self, platform, agent, status):
        """An active agent acts, and so does one in error, which is a report and no order."""
        platform.installation.rows("update agents set status = ? where id = ?", status, agent["id"])

        assert platform.server.agent.enforce(agent["agentId"]).status == 200

    def test_of_two_environments_each_has_its_own_status(self, platform, agent):
        """An agent in two environments is judged in the one it names; in another or none, the stopped one is."""
        twin = platform.server.agent.post("/api/v1/agents", {**agent, "environment": "staging"}).data
        platform.server.admin.patch(f"/api/v1/agents/{twin['id']}/pause", {})
        asked = {
            environment: platform.server.agent.enforce(agent["agentId"], environment=environment).status
            for environment in ("production", "staging", "development", None)
        }

        assert asked == {"production": 200, "staging": 403, "development": 403, None: 403}

    def test_a_pause_holds_from_the_very_next_call(self, platform, agent):
        """Each pause refuses the next call and each resume allows it, time after time."""
        path, name = f"/api/v1/agents/{agent['id']}", agent["agentId"]
        seen = []
        for _ in range(20):
            platform.server.admin.patch(f"{path}/pause", {"reason": "under review"})
            seen.append(platform.server.agent.enforce(name).status)
            platform.server.admin.patch(f"{path}/resume", {})
            seen.append(platform.server.agent.enforce(name).status)

        assert seen == [403, 200] * 20

    def test_a_pause_holds_amid_traffic(self, platform, agent):
        """With clients asking all the while, no call that starts after the answer to a pause is allowed."""

        def ask_until_refused(_number: int) -> list[tuple[float, int]]:
            seen: list[tuple[float, int]] = []
            while len(seen) < ASKS_MAX and (not seen or seen[-1][1] == 200):
                started = time.monotonic()
                seen.append((started, platform.server.agent.enforce(agent["agentId"]).status))
            return seen

        with ThreadPoolExecutor(4) as clients:
            asking = [clients.submit(ask_until_refused, number) for number in range(4)]
            platform.server.agent.enforce(agent["agentId"])
            platform.server.admin.patch(f"/api/v1/agents/{agent['id']}/pause", {})
            paused_at = time.monotonic()
            seen = [each for client in asking for each in client.result()]

        assert {status for _, status in seen} == {200, 403}
        assert {status for started, status in seen if started > paused_at} <= {403}

    def test_the_reason_is_told(self, platform, agent):
        """The violation carries what the administrator gave as a reason."""
        platform.server.admin.patch(f"/api/v1/agents/{agent['agentId']}/pause", {"reason": "under review"})
        answer = platform.server.agent.enforce(agent["agentId"])

        violation = assert_refused(answer, "agent_status")
        assert violation["message"] == f"The agent {agent['agentId']} is paused: under review"
        assert violation["retryable"] is True


class TestUnavailable:
    def test_without_a_commit_there_is_no_decision(self, platform, agent):
        """While the database cannot commit, the answer is 503, by which an SDK set to fail closed stops the action."""
        database = platform.installation.data_dir / "execlave.db"
        with closing(apsw.Connection(str(database))) as connection:
            connection.execute("pragma wal_autocheckpoint = 0")
            connection.execute("begin immediate")
            with (
                platform.sdk(enforcement_on_outage="fail_closed") as exe,
                pytest.raises(EnforcementUnavailableError, match="server error 503"),
            ):
                exe.enforce_policy(agent["agentId"], "may I?")
            connection.execute("rollback")
        after = platform.server.agent.enforce(agent["agentId"])

        assert after.status == 200


class TestNothingElse:
    def test_every_answer_governs(self, platform):
        """No body, key, method of sending or header makes enforce answer anything that an adapter would swallow."""
        callers = [platform.server.agent, platform.server.anyone, platform.server.anyone.with_key("exe_prod_x")]
        headers = [{}, {"Content_Type": "text/plain"}, {"Content_Encoding": "gzip"}, {"Expect": "100-continue"}]
        bodies = [*JUDGED.values(), *UNJUDGED.values()]
        seen = {caller.post(PATH, body, **more).status for caller in callers for more in headers for body in bodies}

        assert seen == {200, 401, 403}
        assert seen <= GOVERNING


class TestWhileOthersRegister:
    def test_a_fleet_that_registers_stops_no_decision(self, platform):
        """Agents that register all the time, with an agent's key, keep no other agent waiting for its decisions."""
        agent, done = platform.server.agent, threading.Event()

        def register(number: int) -> None:
            while not done.is_set():
                agent.post("/api/v1/agents", {"agentId": f"fleet-{number}-{uuid.uuid4().hex}", "name": "Fleet"})

        fleet = [threading.Thread(target=register, args=(number,)) for number in range(4)]
        for thread in fleet:
            thread.start()
        statuses = {agent.enforce("somebody").status for _ in range(100)}
        done.set()
        for thread in fleet:
            thread.join()

        assert statuses == {200}
