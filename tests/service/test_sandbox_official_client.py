"""The sandbox as Datadog's own Python client meets it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ForbiddenException
from datadog_api_client.v1.api.authentication_api import AuthenticationApi
from datadog_api_client.v2.api.key_management_api import KeyManagementApi
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.model.content_encoding import ContentEncoding
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem

from execlave_server.clock import SystemClock
from execlave_server.sandbox.serve import serve_sandbox

# The client marks /api/v2/validate unstable, and says so at each call.
pytestmark = pytest.mark.filterwarnings("ignore:Using unstable operation 'validate'")

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a running sandbox that takes KEY."""
    async with serve_sandbox("127.0.0.1", 0, [KEY], SystemClock()) as port:
        yield port


async def read(port: int, path: str) -> Any:
    """What one of the sandbox's own endpoints shows."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return await answer.json()


def configure(port: int, key: str = KEY) -> Configuration:
    """The official client's configuration for a server of our own."""
    configuration = Configuration(
        server_index=1,
        server_variables={"name": f"127.0.0.1:{port}", "protocol": "http"},
        api_key={"apiKeyAuth": key},
    )
    configuration.unstable_operations["validate"] = True
    return configuration


@pytest.mark.parametrize("encoding", [None, "identity", "gzip", "deflate", "zstd1"])
async def test_submits_logs(port, encoding):
    """Datadog's own Python client submits logs under each encoding it knows, and they arrive as it made them."""

    def submit() -> Any:
        arguments = {"content_encoding": ContentEncoding(encoding)} if encoding else {}
        with ApiClient(configure(port)) as api:
            items = [HTTPLogItem(message="one", service="api", ddtags="env:test", n=1), HTTPLogItem(message="two")]
            return LogsApi(api).submit_log(HTTPLog(items), **arguments)

    assert await asyncio.to_thread(submit) == {}
    assert [row["log"] for row in (await read(port, "/sandbox/logs"))["data"]] == [
        {"message": "one", "service": "api", "ddtags": "env:test", "n": 1},
        {"message": "two"},
    ]
    assert (await read(port, "/sandbox/stats"))["by_encoding"] == {
        "zstd" if encoding == "zstd1" else encoding or "identity": 1
    }


async def test_is_refused_with_a_wrong_key(port):
    """The client meets a wrong key as its own ForbiddenException, on the intake and on both checks."""

    def fail(call: Callable[[ApiClient], Any]) -> Any:
        with ApiClient(configure(port, "wrong")) as api, pytest.raises(ForbiddenException) as refused:
            call(api)
        return refused.value.body

    submitted = await asyncio.to_thread(fail, lambda api: LogsApi(api).submit_log(HTTPLog([HTTPLogItem("a")])))
    assert submitted["errors"][0]["detail"] == "API key is invalid"
    assert (await asyncio.to_thread(fail, lambda api: AuthenticationApi(api).validate()))["errors"] == ["Forbidden"]
    assert (await asyncio.to_thread(fail, lambda api: KeyManagementApi(api).validate()))["errors"] == ["Forbidden"]


async def test_validates_a_good_key(port):
    """Both checks of a good key come back in the shapes the client knows."""

    def validate() -> tuple[Any, Any]:
        with ApiClient(configure(port)) as api:
            return AuthenticationApi(api).validate(), KeyManagementApi(api).validate()

    old, new = await asyncio.to_thread(validate)

    assert old.valid is True
    assert new.data.attributes.valid is True
    assert str(new.data.type) == "validate_v2"
    assert KEY not in str(new)
