"""The operator's proxy and certificate authority, with a real CONNECT proxy and a real TLS server."""

import asyncio
import shutil
import ssl
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from execlave_server.datadog.connection import DatadogConnector
from execlave_server.datadog.try_connection import ConnectionReport, Finding, try_connection
from execlave_server.errors import SettingsError
from execlave_server.model.secret import Secret
from execlave_server.settings import Settings

KEY = "0123456789abcdef0123456789abcdef"
SITE = "datadoghq.eu"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made with openssl")


@dataclass
class Intake:
    """A TLS server that plays API host and intake, with a certificate of an authority of its own."""

    url: str
    ca_file: str
    posted: list[bytes] = field(default_factory=list)


@dataclass
class Proxy:
    """A CONNECT proxy: what it was asked for, and every byte that passed through it from the client."""

    url: str
    refusal: bytes = b""
    heads: list[bytes] = field(default_factory=list)
    passed: bytearray = field(default_factory=bytearray)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A certificate authority, and a certificate of it for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    new = ["req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    authority = ["-subj", "/CN=Our authority", "-addext", "keyUsage=critical,keyCertSign"]
    for arguments in (
        [*new, "-x509", *authority, "-keyout", "ca.key", "-out", "ca.pem"],
        [*new, "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr"],
        [
            *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "2", "-extfile", "san", "-out", "server.pem"),
        ],
    ):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
async def intake(certificates) -> AsyncIterator[Intake]:
    """The server, running."""
    app = web.Application()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    runner = web.AppRunner(app, access_log=None)

    async def validate(request: web.Request) -> web.Response:
        return web.json_response({"valid": request.headers["DD-API-KEY"] == KEY})

    async def take(request: web.Request) -> web.Response:
        running.posted.append(await request.read())
        return web.json_response({}, status=202)

    app.add_routes([web.get("/api/v1/validate", validate), web.post("/api/v2/logs", take)])
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    running = Intake(f"https://127.0.0.1:{site.port}", str(certificates / "ca.pem"))
    yield running
    await runner.cleanup()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """The proxy, running."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await _tunnel(running, reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    running = Proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield running
    server.close()
    await asyncio.gather(*tasks)


async def _tunnel(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    proxy.heads.append(head)
    if proxy.refusal:
        writer.write(proxy.refusal)
        await writer.drain()
        return
    host, port = head.split()[1].decode().split(":")
    from_server, to_server = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    try:
        await asyncio.gather(_pass(reader, to_server, proxy.passed), _pass(from_server, writer, bytearray()))
    finally:
        to_server.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65_536):
            seen += piece
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def connected(intake: Intake, **settings: str) -> AsyncIterator[DatadogConnector]:
    """A connector whose site is the TLS server."""
    urls = {
        "datadog_api_urls": {SITE: intake.url},
        "datadog_intake_urls": {SITE: f"{intake.url}/api/v2/logs"},
    }
    connector = DatadogConnector(Settings(**urls, **settings))  # type: ignore[arg-type]
    try:
        yield connector
    finally:
        await connector.close()


async def tried(intake: Intake, **settings: str) -> ConnectionReport:
    """What Test connection says of it."""
    async with connected(intake, **settings) as connector:
        return await try_connection(connector, SITE, Secret(KEY), service="s", ddtags="", now_ms=1)


async def test_a_server_of_an_own_authority_is_reached_with_its_bundle(intake) -> None:
    """With `ca_file` the connection passes; without it, it is refused as TLS, and nothing is sent."""
    without = await tried(intake)
    sent_without = list(intake.posted)
    passed = await tried(intake, ca_file=intake.ca_file)

    assert ([step.finding for step in without.steps], sent_without) == ([Finding.TLS], [])
    assert passed.passed is True
    assert len(intake.posted) == 1


async def test_https_goes_through_the_proxy(intake, proxy) -> None:
    """Both hosts are reached by CONNECT; the proxy sees where, and neither key nor log."""
    report = await tried(intake, ca_file=intake.ca_file, https_proxy=proxy.url)

    assert report.passed is True
    assert {head.split()[0] for head in proxy.heads} == {b"CONNECT"}
    assert {head.split()[1].decode() for head in proxy.heads} == {intake.url.removeprefix("https://")}
    seen = bytes(proxy.passed) + b"".join(proxy.heads)
    assert len(proxy.passed) > 500
    assert KEY.encode() not in seen
    assert b"DD-API-KEY" not in seen


async def test_the_proxys_password_goes_to_the_proxy_only(intake, proxy) -> None:
    """Credentials in the proxy's address are its own: sent to it as Basic, and not on to the server."""
    address = proxy.url.replace("http://", "http://ada:s3cret@")

    report = await tried(intake, ca_file=intake.ca_file, https_proxy=address)

    assert report.passed is True
    assert b64encode(b"ada:s3cret") in proxy.heads[0]
    assert b"s3cret" not in b"".join(intake.posted)


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses_is_told(intake, proxy, status) -> None:
    """A proxy that does not let us through is a connection that failed, and says nothing about the key."""
    proxy.refusal = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status

    report = await tried(intake, ca_file=intake.ca_file, https_proxy=proxy.url)

    assert report.passed is False
    assert report.steps[0].finding in {Finding.BROKEN, Finding.CONNECT}
    assert report.steps[0].finding is not Finding.KEY_OR_SITE


async def test_a_proxy_that_is_not_there_is_told(intake) -> None:
    """Where nobody listens, the finding names the connection, and the message the setting."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    report = await tried(intake, ca_file=intake.ca_file, https_proxy=f"http://127.0.0.1:{port}")

    assert report.steps[0].finding is Finding.CONNECT
    assert "EXECLAVE_SERVER_HTTPS_PROXY" in report.steps[0].message


async def test_a_bundle_that_is_none_is_named(intake, tmp_path) -> None:
    """A `ca_file` that is missing or holds no certificate is an error that names the setting and the file."""
    (tmp_path / "page.pem").write_text("<html>")
    for file in (tmp_path / "missing.pem", tmp_path / "page.pem"):
        with pytest.raises(SettingsError, match=f"EXECLAVE_SERVER_CA_FILE '{file}'"):
            await tried(intake, ca_file=str(file))
