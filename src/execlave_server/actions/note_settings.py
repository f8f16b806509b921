"""The installation's settings, as far as the audit chains are told: which are set, and a digest of to what."""

from dataclasses import fields
from hashlib import sha256
from urllib.parse import urlsplit

import msgspec

from execlave_server.actions.search_audit import NEWEST
from execlave_server.actions.services import Services
from execlave_server.audit.canonical import sorted_json
from execlave_server.audit.chain import Entry, Event
from execlave_server.audit.changes import SERVER
from execlave_server.audit.events import Kind, SettingsChange
from execlave_server.model.organizations import Organization
from execlave_server.settings import Settings
from execlave_server.store.protocol import NewEvent, Parameters, Write


async def note_settings(services: Services) -> int:
    """Append an entry to each chain whose last word on the settings is another; how many. For a server that starts."""
    details = _details(services.settings)
    events = []
    for organization in await services.store.find(Organization, "list_organizations"):
        wanted: Parameters = {"organization": organization.number, "kind": Kind.SETTINGS_CHANGED}
        last = await services.store.find(Entry, "newest_of_kind", {**wanted, "before": NEWEST, "limit": 1})
        if last and msgspec.json.decode(last[0].details, type=SettingsChange) == details:
            continue
        event = Event(Kind.SETTINGS_CHANGED, services.clock.now_us(), SERVER, "settings", details)
        events.append(NewEvent(organization.number, event))
    if events:
        await services.store.commit(Write(events=events))
    return len(events)


def _details(settings: Settings) -> SettingsChange:
    default = Settings()
    changed = {
        each.name: _without_password(str(getattr(settings, each.name)))
        for each in fields(Settings)
        if getattr(settings, each.name) != getattr(default, each.name)
    }
    return SettingsChange(names=tuple(sorted(changed)), values_digest=sha256(sorted_json(changed)).hexdigest())


def _without_password(value: str) -> str:
    """A digest of a short password could be found out by trying."""
    if "@" not in value or "://" not in value:
        return value
    return urlsplit(value)._replace(netloc=urlsplit(value).netloc.rpartition("@")[2]).geturl()
