"""What the SDK's framework adapters do with the server's answers: whether the tool runs.

An adapter asks before a tool runs. A 403 with `allowed: false` stops the tool; any other error is logged as
"non-fatal" and the tool runs ungoverned. That is why enforce answers a bad request 403 and never 400, 413 or 429.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from execlave import Execlave
from execlave.errors import EnforcementHaltError
from execlave.integrations.langchain import ExeclaveCallbackHandler
from execlave.integrations.mcp import instrument_mcp_session
from harness import Platform, sdk_client
from langchain_core.tools import StructuredTool
from mcp import Client
from mcp.server import MCPServer
from stub_server import Received, StubServer

ENFORCE = "/api/v1/policies/enforce"
SWALLOWED = [400, 401, 402, 404, 409, 413, 415, 422, 429]
Adapter = Callable[[Execlave, Any, str], Awaitable[list[str]]]


async def call_by_mcp(exe: Execlave, agent_id: Any, text: str) -> list[str]:
    """Call a tool of a real MCP server through an instrumented session; what the tool was called with."""
    ran: list[str] = []
    server = MCPServer("mail")

    @server.tool()
    def send_email(text: str) -> str:
        """Send a mail."""
        ran.append(text)
        return "sent"

    async with Client(server) as client:
        session = instrument_mcp_session(client.session, exe, agent_id=agent_id)
        with suppress(EnforcementHaltError):
            await session.call_tool("send_email", {"text": text})
            assert ran, "the call was not stopped, and yet the tool did not run"
    return ran


async def call_by_langchain(exe: Execlave, agent_id: Any, text: str) -> list[str]:
    """Invoke a LangChain tool with the callback handler; what the tool was called with."""
    ran: list[str] = []

    def send_email(text: str) -> str:
        """Send a mail."""
        ran.append(text)
        return "sent"

    tool = StructuredTool.from_function(send_email)
    handler = ExeclaveCallbackHandler(exe, agent_id=agent_id)
    with suppress(EnforcementHaltError):
        tool.invoke({"text": text}, config={"callbacks": [handler]})
        assert ran, "the call was not stopped, and yet the tool did not run"
    return ran


each_adapter = pytest.mark.parametrize("call", [call_by_mcp, call_by_langchain], ids=["MCP", "LangChain"])


@pytest.fixture
def agent_id(platform: Platform) -> str:
    """A registered agent of this test's own."""
    registered = platform.server.agent.post("/api/v1/agents", {"agentId": f"a-{uuid.uuid4().hex[:12]}", "name": "A"})
    return registered.data["agentId"]


@pytest.fixture
def revoked_key(platform: Platform) -> str:
    """A key that was issued and then revoked."""
    made = platform.installation.run_json("key", "create")
    platform.installation.run("key", "revoke", made["id"])
    return made["apiKey"]


@contextmanager
def stub_that_answers(status: int, content: Any) -> Iterator[str]:
    """A server that answers enforce like this, and takes traces; its address."""

    def answer(request: Received) -> tuple[int, Any]:
        return (status, content) if request.path == ENFORCE else (202, {"accepted": 1, "failed": 0, "errors": []})

    stub = StubServer(answer)
    try:
        yield stub.url
    finally:
        stub.stop()


class TestServer:
    @each_adapter
    async def test_an_allowed_tool_runs_and_is_traced(self, platform, agent_id, call):
        """What may run does, and its span arrives in Datadog under the tool's name."""
        with platform.sdk() as exe:
            ran = await call(exe, agent_id, "hello")
            flushed = exe.flush()

        assert ran == ["hello"]
        assert flushed == {"sent": 1, "rejected": [], "undelivered": 0}
        (log,) = platform.sandbox.wait_for_logs(lambda log: log.get("agent_id") == agent_id, 1)
        assert {"span_type": "tool", "span_name": "send_email", "status": "success"}.items() <= log.items()

    @each_adapter
    async def test_the_tool_of_a_paused_agent_does_not_run(self, platform, agent_id, call):
        """After a pause the adapter's next call is stopped before the tool."""
        with platform.sdk() as exe:
            before = await call(exe, agent_id, "before")
            platform.server.admin.patch(f"/api/v1/agents/{agent_id}/pause", {"reason": "under review"})
            after = await call(exe, agent_id, "after")

        assert (before, after) == (["before"], [])

    @each_adapter
    async def test_with_a_revoked_key_the_tool_does_not_run(self, platform, agent_id, revoked_key, call):
        """A key that was revoked authorizes nothing."""
        with sdk_client(platform.server.url, revoked_key) as exe:
            ran = await call(exe, agent_id, "hello")

        assert ran == []

    @each_adapter
    async def test_on_an_invalid_body_the_tool_does_not_run(self, platform, call):
        """A request that does not say which agent acts, here by a number for a name, stops the tool."""
        with platform.sdk() as exe:
            ran = await call(exe, 7, "hello")

        assert ran == []

    @each_adapter
    async def test_on_a_body_of_no_sense_the_tool_does_not_run(self, platform, agent_id, call):
        """A request whose members have other types on the wire, as by a faulty proxy or client, stops the tool."""
        with platform.sdk() as exe:
            send = exe._session.request

            def garble(method: str, url: str, **more: Any) -> Any:
                if url.endswith("/policies/enforce"):
                    more["json"] = {**more["json"], "tools": "send_email", "input": ["not", "a", "text"]}
                return send(method, url, **more)

            exe._session.request = garble  # type: ignore[method-assign]
            ran = await call(exe, agent_id, "hello")

        assert ran == []

    @each_adapter
    async def test_on_an_oversized_body_the_tool_does_not_run(self, platform, agent_id, call):
        """Arguments of twenty megabytes, which the adapter seals whole into the request, stop the tool."""
        with platform.sdk() as exe:
            ran = await call(exe, agent_id, "x" * 20_000_000)

        assert ran == []

    @each_adapter
    async def test_large_arguments_within_the_limit_run(self, platform, agent_id, call):
        """Arguments of several megabytes are judged as any others."""
        text = "x" * 5_000_000
        with platform.sdk() as exe:
            ran = await call(exe, agent_id, text)

        assert ran == [text]


class TestWhyNothingElse:
    @each_adapter
    @pytest.mark.parametrize("status", SWALLOWED)
    async def test_after_any_other_refusal_the_tool_runs(self, call, status):
        """To an adapter, another error status is a failure of instrumentation: it runs the tool ungoverned."""
        body = {"error": {"code": "REFUSED", "message": "refused for a good reason"}, "allowed": False}
        with stub_that_answers(status, body) as url, sdk_client(url, "exe_prod_any") as exe:
            ran = await call(exe, "agent", "hello")

        assert ran == ["hello"]

    @each_adapter
    async def test_after_a_403_that_does_not_say_allowed_false_the_tool_runs(self, call):
        """The status alone stops nothing: without `allowed: false` a 403 is taken for a matter of keys."""
        body = {"error": {"code": "FORBIDDEN", "message": "no"}}
        with stub_that_answers(403, body) as url, sdk_client(url, "exe_prod_any") as exe:
            ran = await call(exe, "agent", "hello")

        assert ran == ["hello"]

    @each_adapter
    async def test_the_one_refusal_that_stops_it(self, call):
        """A 403 with `allowed: false` and violations does."""
        body = {"allowed": False, "violations": [{"policyType": "x", "message": "no"}]}
        with stub_that_answers(403, body) as url, sdk_client(url, "exe_prod_any") as exe:
            ran = await call(exe, "agent", "hello")

        assert ran == []

    @each_adapter
    @pytest.mark.parametrize(("outage", "expected"), [("fail_open", ["hello"]), ("fail_closed", [])])
    async def test_a_503_leaves_it_to_the_clients_outage_rule(self, call, outage, expected):
        """On 503 the tool runs or not as the client was configured, and where it runs the bypass is noted."""
        bypassed: list[dict[str, Any]] = []
        options = {"enforcement_on_outage": outage, "on_enforcement_bypassed": bypassed.append}
        body = {"error": {"code": "UNAVAILABLE", "message": "try again"}}
        with stub_that_answers(503, body) as url, sdk_client(url, "exe_prod_any", **options) as exe:
            ran = await call(exe, "agent", "hello")

        assert ran == expected
        assert len(bypassed) == len(expected)
