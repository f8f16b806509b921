"""The body of sdk/bypass-windows: a window that is not valid never costs the ones beside it, which are evidence."""

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.responses import Response

from execlave_server.actions.report_bypass import DROPPED, BypassReport, report_bypasses
from execlave_server.api.codec import answer, decode
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import microseconds
from execlave_server.errors import ValidationFailedError

WINDOWS_MAX = 100  # in one report; this and what follows are the contract's own limits
AGENT_UNITS_MAX = 256  # UTF-16 units, as JavaScript counts
SOURCE_UNITS_MAX = 64
MESSAGE_UNITS_MAX = 500
CALLS_MAX = 1_000_000_000
FAILURES_MAX = 1_000_000
SDK_UNITS_MAX = 64

Reason = Literal["circuit_breaker_open", "network_error", "server_error", "plan_limit_exceeded"]
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")]
Calls = Annotated[int, Meta(ge=0, le=CALLS_MAX)]

_UNSTORABLE = re.compile("\x00")


_NULL = Raw(b"null")


class _Sdk(Struct):
    name: str = ""
    language: str = ""
    version: str = ""


class _Window(Struct, rename="camel"):
    window_id: Uuid
    agent_id: Annotated[str, Meta(min_length=1)]
    reason: Reason
    source: Annotated[str, Meta(min_length=1)]
    first_at: datetime
    last_at: datetime
    count: Annotated[int, Meta(ge=1, le=CALLS_MAX)]
    message: str | None = None
    status: Annotated[int, Meta(ge=0, le=999)] | None = None
    consecutive_failures: Annotated[int, Meta(ge=0, le=FAILURES_MAX)] | None = None


class _Dropped(Struct, rename="camel"):
    drop_id: Uuid
    windows: Calls
    bypasses: Calls
    since: datetime | None = None


class _Body(Struct, rename="camel"):
    windows: list[Raw]
    sent_at: datetime
    sdk: _Sdk = msgspec.field(default_factory=_Sdk)
    dropped: Raw = _NULL


class _Named(Struct, rename="camel"):
    window_id: object = None
    drop_id: object = None


async def post_bypass_windows(exchange: Exchange) -> Response:
    """Keep what is new and valid: 200 acknowledges; 400, upon which the SDK discards, when nothing was valid."""
    body = decode(exchange.body, _Body)
    if len(body.windows) > WINDOWS_MAX:
        raise ValidationFailedError(
            f"{len(body.windows)} windows in one report; the most is {WINDOWS_MAX}.",
            fields={"windows": f"has more than {WINDOWS_MAX}"},
        )
    sdk = "/".join(_text(part, SDK_UNITS_MAX) for part in (body.sdk.name, body.sdk.language, body.sdk.version))
    reports: list[BypassReport] = []
    refused: list[dict[str, str]] = []
    lost = [] if bytes(body.dropped) == b"null" else [body.dropped]
    for raw in [*body.windows, *lost]:
        try:
            reports.append(_dropped(bytes(raw), body.sent_at, sdk) if raw is body.dropped else _window(bytes(raw), sdk))
        except (msgspec.ValidationError, ValidationFailedError, ValueError) as error:
            refused.append({"id": _id(bytes(raw)), "error": f"Not valid: {error}."})
    if refused and not reports:
        raise ValidationFailedError(f"Nothing of the report is valid. The first reason: {refused[0]['error']}")
    result = await report_bypasses(exchange.services, exchange.key, reports)
    counted: dict[str, object] = {"accepted": result.accepted, "duplicates": result.duplicates}
    return answer(counted | ({"refused": refused} if refused else {}))


def _window(raw: bytes, sdk: str) -> BypassReport:
    window = msgspec.json.decode(raw, type=_Window)
    for name, text, most in (
        ("agentId", window.agent_id, AGENT_UNITS_MAX),
        ("source", window.source, SOURCE_UNITS_MAX),
        ("message", window.message or "", MESSAGE_UNITS_MAX),
    ):
        if _units(text) > most:
            raise ValueError(f"{name} has more than {most} UTF-16 units")
    return BypassReport(
        id=window.window_id.lower(),
        kind="window",
        agent=_storable(window.agent_id),
        reason=window.reason,
        source=_storable(window.source),
        first_at_us=microseconds(window.first_at),
        last_at_us=microseconds(window.last_at),
        calls=window.count,
        windows=1,
        message=None if window.message is None else _storable(window.message),
        status=window.status,
        consecutive_failures=window.consecutive_failures,
        sdk=sdk,
    )


def _dropped(raw: bytes, sent_at: datetime, sdk: str) -> BypassReport:
    dropped = msgspec.json.decode(raw, type=_Dropped)
    return BypassReport(
        id=dropped.drop_id.lower(),
        kind="drop",
        agent=None,
        reason=DROPPED,
        source=None,
        first_at_us=microseconds(dropped.since or sent_at),
        last_at_us=microseconds(sent_at),
        calls=dropped.bypasses,
        windows=dropped.windows,
        message=None,
        status=None,
        consecutive_failures=None,
        sdk=sdk,
    )


def _id(raw: bytes) -> str:
    """The id of a window that is not valid, as far as it has one."""
    try:
        named = msgspec.json.decode(raw, type=_Named)
    except msgspec.MsgspecError:
        return ""
    found = named.window_id or named.drop_id
    return found[:AGENT_UNITS_MAX] if isinstance(found, str) else ""


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _text(text: str, most: int) -> str:
    return _storable(text)[:most]


def _storable(text: str) -> str:
    """PostgreSQL stores no NUL; evidence is kept with the SDK's own replacement in its place."""
    return _UNSTORABLE.sub("\ufffd", text)
