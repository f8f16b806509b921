"""What an answer of Datadog's intake means for the logs that were sent."""

from enum import StrEnum

import msgspec


class Answer(StrEnum):
    """Each request to the intake ends in exactly one of these."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    HELD = "held"


_RETRIED = frozenset({408, 429})  # too slow, too often: the same request may succeed later


class Failure(StrEnum):
    """Why no answer came at all. Every one is retried."""

    DNS = "dns"
    TLS = "tls"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    BROKEN = "broken"


def classify(status: int, body: bytes) -> Answer:
    """The meaning of a status and its body.

    Accepted is 202, or 200 with a JSON object: a captive proxy answers 200 with a page, which delivered nothing.
    A refused key, a redirect and every 4xx without a rule of its own hold the destination: nothing sent, nothing lost.
    """
    match status:
        case 200 | 202 if status == 202 or _is_json_object(body):  # noqa: PLR2004 - the intake's documented answer
            return Answer.ACCEPTED
        case 400:
            return Answer.REFUSED
        case 413:
            return Answer.TOO_LARGE
        case _ if 300 <= status < 500 and status not in _RETRIED:  # noqa: PLR2004 - HTTP's own classes
            return Answer.HELD
        case _:
            return Answer.RETRY


def _is_json_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
