"""The log that an enabled destination gets each minute, so that Datadog itself notices when the stream stops."""

import msgspec
from msgspec import Struct

EVENT = "heartbeat"
MESSAGE = "execlave heartbeat"


class HeartbeatFields(Struct, frozen=True):
    """What stands under `execlave`. `oldest_age_seconds` is that of the oldest log that waits; 0: none does."""

    backlog: int
    oldest_age_seconds: int
    parked: int
    event: str = EVENT


class HeartbeatMiddle(Struct, frozen=True):
    """The part of a heartbeat after the timestamp, in the shape of every other log."""

    message: str
    organization_id: str
    execlave: HeartbeatFields


def heartbeat_middle(organization_id: str, fields: HeartbeatFields) -> bytes:
    """A JSON object without its first brace and its last two, as `frame_log` takes it."""
    return msgspec.json.encode(HeartbeatMiddle(MESSAGE, organization_id, fields))[1:-2]
