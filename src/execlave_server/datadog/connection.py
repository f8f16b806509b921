"""The way out to Datadog: one HTTP client with the operator's proxy and certificate authorities, and no redirects."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from execlave_server.datadog.answers import Failure
from execlave_server.datadog.sites import Endpoints, endpoints
from execlave_server.errors import SettingsError
from execlave_server.model.secret import Secret
from execlave_server.settings import Settings

REQUEST_TIMEOUT_S = 10.0  # as the official Agent's; shorter than half a lease
ANSWER_BYTES_MAX = 4_096  # of an answer's body, enough to say why
ORIGIN = "execlave"  # DD-EVP-ORIGIN: names the sender, as the official shippers do


@dataclass(frozen=True)
class Reply:
    """An answer: its status, the beginning of its body, its headers."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class DatadogConnector:
    """Sends requests to Datadog's hosts. Open it inside the event loop that uses it, and close it there."""

    def __init__(self, settings: Settings, *, connections: int = 8) -> None:
        self._settings = settings
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def endpoints(self, site: str) -> Endpoints:
        """The addresses of a site, with the operator's overrides."""
        return endpoints(
            site,
            sandbox_url=self._settings.datadog_sandbox_url or None,
            intake_urls=self._settings.datadog_intake_urls,
            api_urls=self._settings.datadog_api_urls,
        )

    async def get(self, url: str, key: Secret) -> Reply | Failure:
        """GET with the API key."""
        return await self._request("GET", url, key, None, {})

    async def post_logs(self, url: str, key: Secret, body: bytes, encoding: str) -> Reply | Failure:
        """POST a payload to the intake."""
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding, "DD-EVP-ORIGIN": ORIGIN}
        return await self._request("POST", url, key, body, headers)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _request(
        self, method: str, url: str, key: Secret, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply | Failure:
        session = self._open_session()
        try:
            async with session.request(
                method,
                url,
                data=body,
                headers={**headers, "DD-API-KEY": key.reveal()},
                proxy=(self._settings.https_proxy or None) if url.startswith("https:") else None,
                allow_redirects=False,
            ) as response:
                return Reply(response.status, await _beginning(response.content), response.headers)
        except TimeoutError:
            return Failure.TIMEOUT
        except aiohttp.ClientConnectorDNSError:
            return Failure.DNS
        except aiohttp.ClientSSLError:
            return Failure.TLS
        except aiohttp.ClientConnectorError:
            return Failure.CONNECT
        except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError):
            return Failure.BROKEN

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=_tls_context(self._settings.ca_file)),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
                skip_auto_headers=("User-Agent",),
                trust_env=False,
            )
        return self._session


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """The first bytes of a body, in however many pieces they come."""
    body = b""
    while len(body) < ANSWER_BYTES_MAX and (piece := await content.read(ANSWER_BYTES_MAX - len(body))):
        body += piece
    return body


def _tls_context(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"EXECLAVE_SERVER_CA_FILE {ca_file!r} cannot be used: {error}.") from error
