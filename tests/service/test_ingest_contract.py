"""What becomes of traces handed in: each is stored, a duplicate, or refused by name, and no one's fate is another's."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from execlave.instrumentation.spans import get_span_tree
from harness import Answer, Platform

from execlave_server.model.keys import signature_of

PATH = "/api/v1/traces/ingest"
DEEP = 100_000


def body_of(*items: bytes | dict[str, Any]) -> bytes:
    """A request body of items, some of them written as they are."""
    written = (item if isinstance(item, bytes) else json.dumps(item).encode() for item in items)
    return b'{"traces":[' + b",".join(written) + b"]}"


def item_of(trace_id: str, member: bytes) -> bytes:
    """An item with one more member, written as it is."""
    return b'{"traceId":"%b","status":"success",%b}' % (trace_id.encode(), member)


REFUSED = {
    "no object": b"7",
    "no traceId": b'{"status":"success"}',
    "traceId empty": b'{"traceId":"","status":"success"}',
    "traceId of a wrong type": b'{"traceId":7,"status":"success"}',
    "traceId too long": b'{"traceId":"%b","status":"success"}' % (b"x" * 257),
    "no status": b'{"traceId":"bad"}',
    "unknown status": b'{"traceId":"bad","status":"done"}',
    "timestamp no time": item_of("bad", b'"timestamp":"yesterday"'),
    "timestamp beyond time": item_of("bad", b'"timestamp":1e300'),
    "cost beyond numbers": item_of("bad", b'"costUsd":1e999'),
    "metadata a list": item_of("bad", b'"metadata":[]'),
    "span id too long": item_of("bad", b'"metadata":{"spanId":"%b"}' % (b"x" * 257)),
    "agentId of a wrong type": item_of("bad", b'"agentId":7'),
    "NUL in its id": b'{"traceId":"a\\u0000b","status":"success"}',
    "NUL in its span id": item_of("bad", b'"metadata":{"spanId":"a\\u0000b"}'),
    "NUL in its agent": item_of("bad", b'"agentId":"a\\u0000b"'),
    "NUL in its environment": item_of("bad", b'"environment":"\\u0000"'),
    "NUL in its type": item_of("bad", b'"metadata":{"spanId":"s","spanKind":"\\u0000"}'),
    "not UTF-8": item_of("bad", b'"input":"\xff"'),
    "not UTF-8 in its id": b'{"traceId":"\xff","status":"success"}',
    "not UTF-8 in metadata": item_of("bad", b'"metadata":{"spanId":"s","deep":["\xff"]}'),
    "nested deeply": item_of("bad", b'"metadata":{"spanId":"s","a":%b}' % (b"[" * DEEP + b"]" * DEEP)),
    "nested deeply without a span": item_of("bad", b'"input":%b' % (b"[" * DEEP + b"]" * DEEP)),
}
STORED = {
    "the least": b'{"traceId":"%b","status":"success"}',
    "half a surrogate pair": b'{"traceId":"%b","status":"error","errorMessage":"cut \\ud83d","input":"\\ude00"}',
    "half a pair as a key": b'{"traceId":"%b","status":"success","metadata":{"\\udc00":{"\\ud800":1}}}',
    "a control character": b'{"traceId":"%b","status":"success","userId":"a\\u0000b"}',
    "NUL in metadata": b'{"traceId":"%b","status":"success","metadata":{"spanId":"s","a":"\\u0000"},"input":"\\u0000"}',
    "what looks like NUL": b'{"traceId":"%b","status":"success","agentId":"a\\\\u0000"}',
    "unknown members": b'{"traceId":"%b","status":"success","somethingNew":{"deep":[1]}}',
    "nulls": b'{"traceId":"%b","status":"success","agentId":null,"timestamp":null,"metadata":null,"tags":null}',
    "numbers no machine word holds": b'{"traceId":"%b","status":"success","input":%d}'.replace(b"%d", b"9" * 40),
    "tokens beyond counting": b'{"traceId":"%b","status":"success","promptTokens":9223372036854775808,'
    b'"completionTokens":9223372036854775808}',
    "ids as numbers": b'{"traceId":"%b","status":"success","sessionId":7,"userId":8}',
    "tags of any kind": b'{"traceId":"%b","status":"success","tags":["a",1,null,{"b":[2]}]}',
    "metadata of any kind": b'{"traceId":"%b","status":"success","metadata":{"spanId":7,"spanKind":[],"spanName":{}}}',
    "the first moment": b'{"traceId":"%b","status":"success","timestamp":"0001-01-01T00:00:00+14:00"}',
    "the last moment": b'{"traceId":"%b","status":"success","timestamp":"9999-12-31T23:59:59-14:00"}',
    "milliseconds": b'{"traceId":"%b","status":"success","timestamp":1765449600000}',
}


@pytest.fixture
def name() -> str:
    """A trace id of this test's own."""
    return f"tr-{uuid.uuid4().hex}"


@pytest.fixture
def send(platform: Platform):
    """Posts a body to the ingest endpoint."""

    def post(*items: bytes | dict[str, Any]) -> Answer:
        return platform.server.agent.post(PATH, body_of(*items))

    return post


@pytest.fixture
def stored(platform: Platform):
    """The items stored under a trace id, by span id."""

    def read(trace_id: str) -> dict[str, bytes]:
        rows = platform.installation.rows("select span_id, item from traces where trace_id = ?", trace_id)
        assert len({span for span, _ in rows}) == len(rows)
        return dict(rows)

    return read


class TestBatches:
    @pytest.mark.parametrize("kind", REFUSED)
    def test_a_bad_item_is_refused_by_name_and_its_neighbours_are_stored(self, send, stored, name, kind):
        """Of three items the one that is not valid is in `errors`, and the two around it are stored."""
        first, last = {"traceId": f"{name}-1", "status": "success"}, {"traceId": f"{name}-2", "status": "success"}
        answer = send(first, REFUSED[kind], last)

        assert answer.status == 202
        assert (answer.json["accepted"], answer.json["failed"]) == (2, 1)
        (error,) = answer.json["errors"]
        assert error.keys() == {"traceId", "code", "error"}
        assert error["code"] == "VALIDATION_ERROR"
        assert len(error["error"]) > 20
        assert error["traceId"] == ("bad" if b'"bad"' in REFUSED[kind] else error["traceId"])
        assert len(stored(f"{name}-1")) == len(stored(f"{name}-2")) == 1

    @pytest.mark.parametrize("kind", STORED)
    def test_what_can_be_stored_is(self, send, stored, name, kind):
        """Unusual but meaningful items are stored, and nothing beside them suffers."""
        answer = send(STORED[kind].replace(b"%b", name.encode()), {"traceId": f"{name}-2", "status": "success"})

        assert (answer.status, answer.json) == (202, {"accepted": 2, "failed": 0, "errors": []})
        assert len(stored(name)) == len(stored(f"{name}-2")) == 1

    @pytest.mark.parametrize("model", ["gpt-4o", "gemini-2.5-pro", "claude-sonnet-4-5"])
    @pytest.mark.parametrize("tokens", [(-1, -3), (-(2**62), 5), (2**62, 2**62), (10**30, 10**30)], ids=str)
    def test_token_counts_that_make_no_sense_fail_no_neighbour(self, send, stored, name, model, tokens):
        """Whatever becomes of an item whose tokens cannot be priced, the one beside it is stored."""
        odd = {"traceId": name, "status": "success", "modelName": model}
        odd |= {"promptTokens": tokens[0], "completionTokens": tokens[1]}
        answer = send(odd, {"traceId": f"{name}-2", "status": "success"})

        assert answer.status == 202
        assert len(stored(f"{name}-2")) == 1
        assert len(stored(name)) == 1 - answer.json["failed"]

    def test_a_batch_of_bad_items_is_a_400_that_names_each(self, send):
        """When nothing can be stored, the answer is 400, with the same members, which the SDK reports per trace."""
        answer = send(*(item_of(f"bad-{number}", b'"timestamp":"no"') for number in range(3)))

        assert answer.status == 400
        assert answer.json["error"]["code"] == "VALIDATION_ERROR"
        assert (answer.json["accepted"], answer.json["failed"]) == (0, 3)
        assert [error["traceId"] for error in answer.json["errors"]] == ["bad-0", "bad-1", "bad-2"]

    def test_an_empty_batch_is_accepted(self, send):
        """No traces are no error."""
        answer = send()

        assert (answer.status, answer.json) == (202, {"accepted": 0, "failed": 0, "errors": []})

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"no JSON",
            b"[]",
            b"null",
            b"{}",
            b'{"traces":7}',
            b'{"traces":[{]}',
            b'{"traces":[{}]',
            b"\xff\xfe{}",
            b'{"traces":[{"a":NaN}]}',
        ],
    )
    def test_a_malformed_body_is_a_400(self, platform, body):
        """A body that is not a batch is answered 400 as a whole, which the SDK does not send again."""
        answer = platform.server.agent.post(PATH, body)

        assert answer.status == 400
        assert answer.json["error"]["code"] in {"BAD_REQUEST", "VALIDATION_ERROR"}

    def test_a_thousand_items_are_taken_and_one_more_is_not(self, send, stored, name):
        """A request holds at most 1,000 traces; one that has more is refused whole, and says the limit."""
        items = [{"traceId": name, "status": "success", "metadata": {"spanId": str(n)}} for n in range(1_001)]
        refused = send(*items)
        accepted = send(*items[:1_000])

        assert refused.status == 400
        assert "1,000" in refused.json["error"]["message"]
        assert (accepted.status, accepted.json["accepted"]) == (202, 1_000)
        assert len(stored(name)) == 1_000

    def test_fifteen_megabytes_are_taken_and_seventeen_are_not(self, send, stored, name):
        """A request has at most 16 MB; a larger one is answered 413, after its whole body was read."""
        accepted = send({"traceId": name, "status": "success", "output": "x" * 15_000_000})
        refused = send({"traceId": f"{name}-2", "status": "success", "output": "x" * 17_000_000})

        assert accepted.status == 202
        assert refused.status == 413
        assert refused.json["error"]["code"] == "PAYLOAD_TOO_LARGE"
        assert stored(name)
        assert not stored(f"{name}-2")


class TestIdentity:
    def test_the_same_item_again_is_a_duplicate(self, send, stored, name):
        """Sent again in any order of its keys, an item is accepted, counted as a duplicate, and stored once."""
        item = {"traceId": name, "status": "success", "input": {"a": 1, "b": [2]}, "metadata": {"spanId": "s"}}
        answers = [send(item), send(item), send(dict(reversed(item.items()))), send(item, item)]

        assert [answer.status for answer in answers] == [202] * 4
        assert [answer.json.get("duplicates", 0) for answer in answers] == [0, 1, 1, 2]
        assert [answer.json["accepted"] for answer in answers] == [1, 1, 1, 2]
        assert len(stored(name)) == 1

    def test_another_content_under_the_same_name_is_a_conflict(self, send, stored, name):
        """A stored trace never changes: other content under its ids is refused, never silently."""
        item = {"traceId": name, "status": "success", "metadata": {"spanId": "s"}}
        send(item)
        alone = send({**item, "status": "error"})
        among = send({**item, "output": "changed"}, {"traceId": f"{name}-2", "status": "success"})

        assert alone.status == 400
        assert alone.json["error"]["code"] == "TRACE_CONFLICT"
        assert among.status == 202
        assert [(error["traceId"], error["code"]) for error in among.json["errors"]] == [(name, "TRACE_CONFLICT")]
        assert [json.loads(kept) for kept in stored(name).values()] == [item]

    def test_a_conflict_within_one_request_is_seen_too(self, send, stored, name):
        """Of two items of one request that share their ids, the first is stored and the second refused."""
        item = {"traceId": name, "status": "success", "metadata": {"spanId": "s"}}
        answer = send(item, {**item, "status": "timeout"})

        assert (answer.json["accepted"], answer.json["failed"]) == (1, 1)
        assert answer.json["errors"][0]["code"] == "TRACE_CONFLICT"
        assert [json.loads(kept)["status"] for kept in stored(name).values()] == ["success"]

    def test_spans_that_share_a_trace_are_all_kept(self, platform, stored):
        """Nested spans share their root's trace id; each is stored, children before parents."""
        with platform.sdk() as exe:
            tree = get_span_tree(exe)
            spans = [tree.start(kind="chain", name=f"level {level}", agent_id="nested") for level in range(5)]
            for span in reversed(spans):
                span.finish()
            flushed = exe.flush()

        assert flushed["sent"] == 5
        assert stored(spans[0]._trace.trace_id).keys() == {span.span_id for span in spans}

    def test_items_that_are_no_spans_differ_by_their_content(self, send, stored, name):
        """Without span ids, items of one trace are told apart by their content: other content is another record."""
        one, two = (
            {"traceId": name, "status": "success", "input": 1},
            {"traceId": name, "status": "success", "input": 2},
        )
        answers = [send(one), send(two), send(dict(reversed(one.items())))]

        assert [answer.json.get("duplicates", 0) for answer in answers] == [0, 0, 1]
        assert len(stored(name)) == 2
        assert all(len(span_id) == 64 for span_id in stored(name))

    def test_one_span_sent_by_many_at_once_is_stored_once(self, send, stored, name):
        """Of many requests with the same items at the same time, one stores them and the others find duplicates."""
        items = [{"traceId": name, "status": "success", "metadata": {"spanId": str(n)}} for n in range(50)]
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: send(*items), range(8)))

        assert [answer.json["accepted"] for answer in answers] == [50] * 8
        assert sum(answer.json.get("duplicates", 0) for answer in answers) == 50 * 7
        assert len(stored(name)) == 50

    def test_organizations_do_not_share_names(self, platform, send, name):
        """The same ids in another organization are another trace."""
        other = platform.installation.run_json("org", "create", f"Other {name}")
        key = platform.installation.run_json("key", "create", "--org", other["id"])
        mine = send({"traceId": name, "status": "success", "metadata": {"spanId": "s"}})
        theirs = platform.server.anyone.with_key(key["apiKey"]).ingest(
            {"traceId": name, "status": "error", "metadata": {"spanId": "s"}}
        )

        assert (mine.status, theirs.status) == (202, 202)
        rows = platform.installation.rows("select organization from traces where trace_id = ?", name)
        assert len(set(rows)) == 2


class TestSignatures:
    def test_the_sdk_signs_and_is_heard(self, platform, stored):
        """A client with `sign_requests` registers, asks and traces as any other."""
        with platform.sdk(sign_requests=True) as exe:
            exe.register_agent("signing", "Signing")
            allowed = exe.enforce_policy("signing", "may I?")
            trace = exe.start_trace(agent_id="signing")
            trace.set_output("é😀").finish()
            flushed = exe.flush()

        assert allowed["allowed"] is True
        assert flushed == {"sent": 1, "rejected": [], "undelivered": 0}
        assert len(stored(trace.trace_id)) == 1

    @pytest.mark.parametrize("kind", ["forged", "another body", "another key", "too old", "no time", "no moment"])
    def test_a_signature_that_does_not_verify_stores_nothing(self, platform, stored, name, kind):
        """A signed request whose signature is not over its bytes, key and present time is refused with 401."""
        body, key, now = body_of({"traceId": name, "status": "success"}), platform.installation.api_key, time.time()
        stamp = {"too old": str(int(now) - 3_600), "no time": "", "no moment": "²"}.get(kind, str(int(now)))
        signature = {
            "forged": "sha256=" + "0" * 64,
            "another body": signature_of(key, stamp, body + b" "),
            "another key": signature_of(platform.installation.admin_key, stamp, body),
        }.get(kind, signature_of(key, stamp, body))
        answer = platform.server.agent.post(PATH, body, X_Execlave_Timestamp=stamp, X_Execlave_Signature=signature)

        assert answer.status == 401
        assert answer.json["error"]["code"] == "INVALID_SIGNATURE"
        assert not stored(name)


class TestKeys:
    def test_a_revoked_key_stores_nothing(self, platform, stored, name):
        """From its revocation on, a key that just worked stores no trace."""
        made = platform.installation.run_json("key", "create")
        caller = platform.server.anyone.with_key(made["apiKey"])
        before = caller.ingest({"traceId": name, "status": "success"})
        platform.installation.run("key", "revoke", made["id"])
        after = caller.ingest({"traceId": f"{name}-2", "status": "success"})

        assert (before.status, after.status) == (202, 401)
        assert after.json["error"]["code"] == "API_KEY_REVOKED"
        assert stored(name)
        assert not stored(f"{name}-2")

    def test_a_paused_agents_traces_are_taken(self, platform, stored, name):
        """A pause stops actions, not the record of those under way."""
        platform.server.agent.post("/api/v1/agents", {"agentId": name, "name": "Paused"})
        platform.server.admin.patch(f"/api/v1/agents/{name}/pause", {})
        answer = platform.server.agent.ingest({"traceId": name, "agentId": name, "status": "success"})

        assert answer.status == 202
        assert len(stored(name)) == 1


@pytest.mark.parametrize(("length", "stored"), [(256, True), (257, False)])
def test_an_agents_id_has_256_characters(platform: Platform, name: str, length: int, stored: bool) -> None:  # noqa: FBT001
    """The bound holds alike where an agent is registered, where it traces, and where it asks whether it may act."""
    agent = (name * 10)[:length]
    registered = platform.server.agent.post("/api/v1/agents", {"agentId": agent, "name": "Long"})
    traced = platform.server.agent.ingest({"traceId": name, "status": "success", "agentId": agent})
    enforced = platform.server.agent.enforce(agent)

    assert (registered.status, traced.status) == ((200, 202) if stored else (400, 400))
    assert (enforced.status, enforced.json["allowed"]) == ((200, True) if stored else (403, False))
