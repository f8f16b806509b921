"""The server's own log never ends the work it tells of."""

import io

import structlog

from execlave_server.telemetry import configure_logs


class FullDisk(io.StringIO):
    """A stream on a disk that has no space left."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_is_dropped(monkeypatch):
    """On a full disk the line is lost, and whoever wanted to write it goes on."""
    before = structlog.get_config()
    monkeypatch.setattr("sys.stderr", FullDisk())
    try:
        configure_logs("info", process="test")
        structlog.get_logger().warning("store.group_commit_failed")
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
