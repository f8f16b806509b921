from http import HTTPStatus

from aiohttp import web

from execlave_server.sandbox.json_answer import json_answer

# Python 3.13 renamed this phrase; the intake did not.
TITLES = {413: "Request Entity Too Large"}


class RefusedError(Exception):
    """The intake takes nothing from this request; it answers `status` and says why in `detail`."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def too_large() -> RefusedError:
    """The refusal of a body, or of an array, over its limit, in the recorded words."""
    return RefusedError(413, "Request too large")


def refusal_answer(status: int, detail: str) -> web.Response:
    """The intake's error envelope: `{"errors": [{"status", "title", "detail"}]}`, all strings."""
    return json_answer({"errors": [{"status": str(status), "title": title_of(status), "detail": detail}]}, status)


def title_of(status: int) -> str:
    """The envelope's title for any status, known to HTTP or not."""
    if status in TITLES:
        return TITLES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


class ApiRefusedError(Exception):
    """Datadog's API host refuses: `{"errors": [text, ...]}` under `status`."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.status = status
        self.errors = list(errors)


class ConfigRefusedError(Exception):
    """The logs configuration API refuses: `{"error": {"code", "message", "details"}}` under `status`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
