"""The server's own logs: structured, on stderr, with secrets taken out."""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

# Anything that looks like one of our keys or a Datadog key, wherever it turns up.
_SECRETS = re.compile(r"exe_(?:prod|stg|dev|agt|ses)_[A-Za-z0-9_.-]+|\b[0-9a-f]{32}\b|\b[0-9a-f]{40}\b")
_SECRET_NAMES = frozenset({"api_key", "apikey", "authorization", "password", "secret", "token"})


def configure_logs(level: str, *, process: str) -> None:
    """Log JSON lines to stderr when it is a file or a pipe, readable lines when it is a terminal."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _BestEffort(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


class _BestEffort:
    """A stream whose failures are dropped: a full disk under the log must not end what wanted to say so."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what a log must never hold, by name and by shape."""
    for name, value in event.items():
        if name.lower() in _SECRET_NAMES:
            event[name] = "[redacted]"
        elif isinstance(value, str):
            event[name] = _SECRETS.sub("[redacted]", value)
    return event
