"""A change of what governs, as an event of the audit chain."""

from collections.abc import Mapping
from typing import Any

import msgspec

from execlave_server.audit.chain import Event
from execlave_server.audit.events import Kind, SettingsChange
from execlave_server.model.json_bytes import digest
from execlave_server.model.people import Caller
from execlave_server.store.protocol import NewEvent


def settings_changed(key: Caller, subject: str, now_us: int, values: Mapping[str, Any]) -> NewEvent:
    """These settings of `subject` (as `agent:ID`) have new values; their names and a digest go on record."""
    details = SettingsChange(names=tuple(sorted(values)), values_digest=digest(msgspec.json.encode(values)))
    return NewEvent(key.organization, Event(Kind.SETTINGS_CHANGED, now_us, key.actor, subject, details))
