import enum
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aiohttp import web

from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import FAULT_DELAY_MS_MAX, FAULT_RULES_MAX, FAULT_TEXT_CHARS_MAX
from execlave_server.sandbox.refusals import refusal_answer

INTAKE_PATH = "/api/v2/logs"

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")  # RFC 9110, field-value in ASCII
FRAMING_HEADERS = {"content-length", "transfer-encoding"}  # the server's own; a second value breaks the connection

Status = Annotated[int, msgspec.Meta(ge=200, le=599)]
Times = Annotated[int, msgspec.Meta(ge=1)]
DelayMs = Annotated[int, msgspec.Meta(ge=0, le=FAULT_DELAY_MS_MAX)]


class FaultAction(enum.Enum):
    """What a fault rule does to a request."""

    RESPOND = "respond"  # wait, then answer `status`; without a status, handle the request after the wait
    HANG = "hang"  # never answer
    RESET = "reset"  # break the connection instead of handling the request
    ACCEPT_THEN_RESET = "accept_then_reset"  # handle the request, then break the connection instead of answering


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One planned fault: which path, how often, and what happens."""

    path: str = INTAKE_PATH
    contains: Annotated[str, msgspec.Meta(max_length=FAULT_TEXT_CHARS_MAX)] = ""  # only requests whose body has it
    times: Times | None = 1  # None: for ever
    status: Status | None = None
    headers: dict[str, str] = {}
    body: Any = None  # text goes out as it is, anything else as JSON; None: what the intake says
    delay_ms: DelayMs = 0
    action: FaultAction = FaultAction.RESPOND

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or self.path.startswith("/sandbox"):
            raise ValueError("`path` must be one of Datadog's, such as /api/v2/logs: /sandbox/* cannot be made to fail")
        if self.status is None and (self.headers or self.body is not None):
            raise ValueError("`headers` and `body` need a `status` to go with")
        if self.action is not FaultAction.RESPOND and self.status is not None:
            raise ValueError(f"`status` goes with the action respond, not with {self.action.value}")
        if self.action is FaultAction.RESPOND and self.status is None and not self.delay_ms:
            raise ValueError("`status`, `delay_ms` or an `action` other than respond is needed: this rule does nothing")
        for name, value in self.headers.items():
            check_header(name, value)


class FaultRules(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /sandbox/faults`."""

    rules: Annotated[list[FaultRule], msgspec.Meta(max_length=FAULT_RULES_MAX)]


def check_header(name: str, value: str) -> None:
    """Refuse what would break HTTP itself rather than test a client."""
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"`headers` has a name that is not a header's: {name!r}")
    if name.lower() in FRAMING_HEADERS:
        raise ValueError(f"`headers` cannot set {name}: the server derives it from the body")
    if not HEADER_VALUE.fullmatch(value):
        raise ValueError(f"`headers` has a value that is not printable ASCII: {name}")


@dataclass(slots=True)
class PlannedFault:
    """A rule and how often it still applies; None is for ever."""

    rule: FaultRule
    times_left: int | None


class FaultPlan:
    """The rules in force, first match first."""

    def __init__(self) -> None:
        self._planned: list[PlannedFault] = []

    def replace(self, rules: list[FaultRule]) -> None:
        """Put these rules in place of all others."""
        self._planned = [PlannedFault(rule, rule.times) for rule in rules]

    def reads_body(self, path: str) -> bool:
        """Whether a rule for `path` depends on what the request says."""
        return any(planned.rule.path == path and planned.rule.contains for planned in self._planned)

    def take(self, path: str, body: bytes = b"") -> FaultRule | None:
        """The rule for a request to `path` with this body, decompressed; counted down, and a rule used up is gone."""
        for planned in self._planned:
            if planned.rule.path != path or planned.rule.contains.encode() not in body:
                continue
            if planned.times_left is not None:
                planned.times_left -= 1
                if planned.times_left == 0:
                    self._planned.remove(planned)
            return planned.rule
        return None

    def left(self) -> list[FaultRule]:
        """The rules with times left, and how many."""
        return [msgspec.structs.replace(planned.rule, times=planned.times_left) for planned in self._planned]


def planned_answer(rule: FaultRule, status: int) -> web.Response:
    """What a `respond` rule sends."""
    if rule.body is None and status < HTTPStatus.BAD_REQUEST:
        answer = json_answer({}, status)
    elif rule.body is None:
        answer = refusal_answer(status, "this answer was planned at /sandbox/faults")
    elif isinstance(rule.body, str):
        answer = web.Response(text=rule.body, status=status)
    else:
        answer = json_answer(rule.body, status)
    answer.headers.update(rule.headers)
    return answer
