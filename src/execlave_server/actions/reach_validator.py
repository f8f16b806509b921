"""The way out to customers' validators: TLS only, to an address that was checked, and no further."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from execlave_server.errors import SettingsError
from execlave_server.policy.checks.custom_validator import ANSWER_BYTES_MAX
from execlave_server.policy.outward_addresses import AllowedAddresses, parse_allowed, refusal_of
from execlave_server.settings import Settings

VALIDATOR_TIMEOUT_S = 2.0  # in all, names and TLS included: the agent waits for it
CONNECTIONS_MAX = 64
CONNECTIONS_PER_HOST_MAX = 16  # a slow validator must not take them all
RESOLVING_THREADS = 4  # of their own: a name server that hangs must not stop what else leaves the event loop

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class UnreachableError(Exception):
    """A validator gave no answer. The text says why and holds nothing of the action."""


class RefusedAddressError(OSError):
    """The validator's host is at an address that may not be asked."""


@dataclass(frozen=True)
class Reply:
    """An answer. `body` is at most one byte longer than a validator's answer may be."""

    status: int
    body: bytes


class ValidatorConnector:
    """Posts to validators. `resolve` gives the addresses of a host and port: a name server, or a test's."""

    def __init__(self, settings: Settings, resolve: Resolve | None = None) -> None:
        ca_file = settings.validator_ca_file
        self._tls = _tls_context(ca_file) if ca_file else None  # a wrong file shows at start, not at the first question
        self._threads = ThreadPoolExecutor(RESOLVING_THREADS, thread_name_prefix="resolve")
        self._resolver = _CheckingResolver(resolve or self._ask_system, _allowed(settings.validator_allow))
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """POST over TLS, within two seconds. Raises UnreachableError."""
        try:
            async with asyncio.timeout(VALIDATOR_TIMEOUT_S):
                return await self._post(url, body, headers)
        except TimeoutError as error:
            raise UnreachableError(f"no answer within {VALIDATOR_TIMEOUT_S:g} s") from error
        except aiohttp.ClientConnectorDNSError as error:
            refused = isinstance(error.os_error, RefusedAddressError)
            raise UnreachableError(str(error.os_error) if refused else "its name cannot be resolved") from error
        except RefusedAddressError as error:
            raise UnreachableError(str(error)) from error
        except aiohttp.ClientSSLError as error:
            raise UnreachableError("TLS failed: no certificate of this host that is trusted here") from error
        except aiohttp.InvalidURL as error:
            raise UnreachableError("its address is not one that can be asked") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnreachableError(f"the connection failed ({type(error).__name__})") from error

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise UnreachableError("its address is not https")
        self._resolver.require_literal(parts.hostname or "")
        async with self._open_session().post(url, data=body, headers=headers, allow_redirects=False) as response:
            return Reply(response.status, await _beginning(response.content))

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._resolver,
                    use_dns_cache=False,  # each connection is made to what was checked for it
                    limit=CONNECTIONS_MAX,
                    limit_per_host=CONNECTIONS_PER_HOST_MAX,
                    ssl=self._tls or _tls_context(),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # 64 kB may unpack to gigabytes
                trust_env=False,
            )
        return self._session

    async def _ask_system(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(sockaddr[0]) for *_, sockaddr in found]


class _CheckingResolver(AbstractResolver):
    """Resolves a host once for each connection, and refuses it when any of its addresses may not be asked."""

    def __init__(self, resolve: Resolve, allowed: AllowedAddresses) -> None:
        self._resolve = resolve
        self._allowed = allowed

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - aiohttp's interface
    ) -> list[ResolveResult]:
        """What the connection is made to."""
        addresses = list(dict.fromkeys(await self._resolve(host, port)))
        for address in addresses:
            self._require(host, address)
        return [_result(host, address, port) for address in addresses]

    def require_literal(self, host: str) -> None:
        """Check a host that is an address itself: nobody resolves it."""
        try:
            ip_address(host)
        except ValueError:
            return
        self._require(host, host)

    async def close(self) -> None:
        """Nothing is held."""

    def _require(self, host: str, address: str) -> None:
        refused = refusal_of(host, address, self._allowed)
        if refused:
            raise RefusedAddressError(
                f"its host is at {address}, {refused}; an operator may allow that with EXECLAVE_SERVER_VALIDATOR_ALLOW"
            )


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """The body, or so much of it that it is seen to be too long."""
    body = b""
    while len(body) <= ANSWER_BYTES_MAX and (piece := await content.read(ANSWER_BYTES_MAX + 1 - len(body))):
        body += piece
    return body


def _allowed(text: str) -> AllowedAddresses:
    try:
        return parse_allowed(text)
    except ValueError as error:
        raise SettingsError(f"EXECLAVE_SERVER_VALIDATOR_ALLOW cannot be used: {error}.") from error


def _tls_context(ca_file: str = "") -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"EXECLAVE_SERVER_VALIDATOR_CA_FILE {ca_file!r} cannot be used: {error}.") from error
    return context
