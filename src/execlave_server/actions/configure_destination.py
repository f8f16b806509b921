"""Add and change a Datadog Logs destination; nothing is enabled whose connection has not passed its test."""

from msgspec import Struct
from msgspec.structs import replace

from execlave_server.actions.rotate_secrets import sealed_in_time
from execlave_server.actions.services import Services
from execlave_server.audit.changes import COMMAND, destination_added, destination_changed
from execlave_server.datadog.sites import parse_site
from execlave_server.datadog.tags import normalize_tags, validate_service
from execlave_server.errors import ConflictError, NotFoundError, ValidationFailedError
from execlave_server.model.destinations import Connection, Destination, DestinationState
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, Check, NewEvent, Parameters, StaleError, Value, Write, find_one
from execlave_server.vault.envelope import api_key_of

NAME_CHARS_MAX = 100
KEY_CHARS_MAX = 200
SEAL_AGAIN_MAX = 3  # each time means that a key-encryption key was retired between sealing and committing


class Wanted(Struct, frozen=True):
    """What a person asks of a destination; None leaves it as it is."""

    name: str | None = None
    site: str | None = None
    api_key: Secret | None = None
    service: str | None = None
    ddtags: str | None = None
    heartbeat: bool | None = None
    events: bool | None = None


async def add_destination(
    services: Services, organization_id: str, organization: int, wanted: Wanted, *, actor: str = COMMAND
) -> Destination:
    """A new draft. Raises ValidationFailedError naming the field, ConflictError when the name is taken."""
    if wanted.site is None or wanted.api_key is None:
        missing = {
            field: "is required"
            for field, value in (("site", wanted.site), ("apiKey", wanted.api_key))
            if value is None
        }
        raise ValidationFailedError(f"A Datadog destination needs {' and '.join(missing)}.", fields=missing)
    name = _check_name(wanted.name or "Datadog")
    await _refuse_taken(services, organization, name)
    destination_id = f"dst_{services.clock.uuid().replace('-', '')}"
    settings = {
        "name": name,
        "service": validate_service(wanted.service or "execlave"),
        "ddtags": normalize_tags(wanted.ddtags or "").text,
    }
    row: dict[str, Value] = {
        **settings,
        "id": destination_id,
        "organization": organization,
        "heartbeat": int(wanted.heartbeat is not False),
        "events": int(wanted.events is not False),
    }
    for _ in range(SEAL_AGAIN_MAX):
        connection = _connection(services, organization_id, destination_id, wanted.site, wanted.api_key)
        shown = {"site": connection.site, "key_hint": connection.key_hint}
        now_us = services.clock.now_us()
        sealed: Parameters = {**row, **shown, "sealed_key": connection.sealed_key, "now_us": now_us}
        event = destination_added(actor, now_us, destination_id, **settings, **shown)
        write = Write(
            checks=[sealed_in_time(connection.sealed_key)],
            calls=[Call("insert_destination", sealed)],
            events=[NewEvent(organization, event)],
        )
        try:
            await services.store.commit(write)
        except StaleError:
            continue
        return await get_destination(services, organization, destination_id)
    raise ConflictError("The key-encryption key is being replaced over and over. Try again when that is done.")


async def change_destination(
    services: Services, organization: int, destination_id: str, wanted: Wanted, *, actor: str = COMMAND
) -> Destination:
    """Change a destination.

    Name, service and tags hold at once. A new site or key replaces a draft's; for a destination that delivers it
    becomes the candidate, which takes over when it passes Test connection.
    """
    before = await get_destination(services, organization, destination_id)
    name = before.name if wanted.name is None else _check_name(wanted.name)
    if name != before.name:
        await _refuse_taken(services, organization, name)
    after = replace(
        before,
        name=name,
        service=before.service if wanted.service is None else validate_service(wanted.service or "execlave"),
        ddtags=before.ddtags if wanted.ddtags is None else normalize_tags(wanted.ddtags).text,
        heartbeat=before.heartbeat if wanted.heartbeat is None else wanted.heartbeat,
        events=before.events if wanted.events is None else wanted.events,
    )
    if wanted.site is not None or wanted.api_key is not None:
        after = _with_connection(services, after, wanted.site, wanted.api_key)
    return await save_destination(services, before, after, actor=actor)


async def enable_destination(
    services: Services, organization: int, destination_id: str, *, actor: str = COMMAND
) -> Destination:
    """From its commit on every batch is queued for it. Raises ConflictError until its connection has passed."""
    before = await get_destination(services, organization, destination_id)
    if before.tested_at_us is None:
        raise ConflictError(
            f"The destination {before.name!r} has not passed Test connection with its current site and key. "
            f"Test it first: execlave-server destination test {before.id}"
        )
    after = replace(before, state=DestinationState.ENABLED, state_reason=None)
    if before.state is DestinationState.DISABLED and before.disabled_at_us is not None:
        after = replace(after, enabled_at_us=services.clock.now_us())
    return await save_destination(services, before, after, actor=actor)


async def disable_destination(
    services: Services, organization: int, destination_id: str, *, actor: str = COMMAND
) -> Destination:
    """No further batch is queued for it; what was queued stays and is not sent. Its gap begins, or goes on."""
    before = await get_destination(services, organization, destination_id)
    after = replace(before, state=DestinationState.DISABLED, state_reason="disabled by an administrator")
    if before.state.collects:
        began_us = services.clock.now_us() if before.disabled_at_us is None else before.disabled_at_us
        after = replace(after, disabled_at_us=began_us, enabled_at_us=None)
    return await save_destination(services, before, after, actor=actor)


async def list_destinations(services: Services, organization: int) -> list[Destination]:
    """Every destination of an organization."""
    return await services.store.find(Destination, "list_destinations", {"organization": organization})


async def get_destination(services: Services, organization: int, destination_id: str) -> Destination:
    """One destination. Raises NotFoundError."""
    wanted: Parameters = {"organization": organization, "id": destination_id}
    destination = await find_one(services.store, Destination, "find_destination", wanted)
    if destination is None:
        raise NotFoundError(f"There is no destination {destination_id} in this organization.")
    return destination


async def save_destination(
    services: Services, before: Destination, after: Destination, *, actor: str = COMMAND
) -> Destination:
    """Write a changed destination. Raises ConflictError when somebody else changed it meanwhile."""
    identity: Parameters = {"organization": before.organization, "id": before.id}
    now_us = max(services.clock.now_us(), before.updated_at_us + 1)
    event = destination_changed(actor, now_us, before, after)
    row: Parameters = {
        **identity,
        "name": after.name,
        "service": after.service,
        "ddtags": after.ddtags,
        "heartbeat": int(after.heartbeat),
        "events": int(after.events),
        "site": after.site,
        "sealed_key": after.sealed_key,
        "key_hint": after.key_hint,
        "tested_at_us": after.tested_at_us,
        "candidate_site": after.candidate_site,
        "candidate_sealed_key": after.candidate_sealed_key,
        "candidate_key_hint": after.candidate_key_hint,
        "state": after.state,
        "state_reason": after.state_reason,
        "now_us": now_us,
    }
    unchanged = [
        Check("destination_revision", identity, (before.updated_at_us,)),
        Check("destination_keys", identity, (before.sealed_key, before.candidate_sealed_key)),
        *(sealed_in_time(new) for new in _newly_sealed(before, after)),
    ]
    calls = [Call("update_destination", row)]
    if after.gap != before.gap:
        gap = {"disabled_at_us": after.disabled_at_us, "enabled_at_us": after.enabled_at_us}
        calls.append(Call("note_gap", {**identity, **gap}))
    try:
        events = [NewEvent(before.organization, event)] if event else []
        await services.store.commit(Write(checks=unchanged, calls=calls, events=events))
    except StaleError as error:
        raise ConflictError(
            f"The destination {before.name!r} was changed by somebody else meanwhile. Look at it and try again."
        ) from error
    return await get_destination(services, before.organization, before.id)


def _newly_sealed(before: Destination, after: Destination) -> list[bytes]:
    known = {before.sealed_key, before.candidate_sealed_key, None}
    return [sealed for sealed in (after.sealed_key, after.candidate_sealed_key) if sealed and sealed not in known]


def _with_connection(
    services: Services, destination: Destination, site: str | None, api_key: Secret | None
) -> Destination:
    present = (destination.candidate if destination.state.collects else None) or destination.connection
    if api_key is None:
        bound_to = api_key_of(destination.organization_id, destination.id)
        api_key = services.vault.open(present.sealed_key, bound_to=bound_to)
    new = _connection(services, destination.organization_id, destination.id, site or present.site, api_key)
    if destination.state.collects:
        return replace(
            destination,
            candidate_site=new.site,
            candidate_sealed_key=new.sealed_key,
            candidate_key_hint=new.key_hint,
        )
    return replace(
        destination,
        site=new.site,
        sealed_key=new.sealed_key,
        key_hint=new.key_hint,
        tested_at_us=None,
        candidate_site=None,
        candidate_sealed_key=None,
        candidate_key_hint=None,
    )


def _connection(
    services: Services, organization_id: str, destination_id: str, site: str, api_key: Secret
) -> Connection:
    known_site = parse_site(site, sandbox=bool(services.settings.datadog_sandbox_url))
    key = Secret(api_key.reveal().strip())
    if not key.reveal().isascii() or not 1 <= len(key.reveal()) <= KEY_CHARS_MAX or not key.reveal().isprintable():
        text = "The API key is not one Datadog issues: copy it from Organization Settings -> API Keys."
        raise ValidationFailedError(text, fields={"apiKey": "must be 1 to 200 printable ASCII characters"})
    sealed = services.vault.seal(key, bound_to=api_key_of(organization_id, destination_id))
    return Connection(known_site, sealed, key.last_four)


async def _refuse_taken(services: Services, organization: int, name: str) -> None:
    if await services.store.rows("find_destination_named", {"organization": organization, "name": name}):
        raise ConflictError(f"There is a destination named {name!r} already. Change that one, or choose another name.")


def _check_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARS_MAX or not name.isprintable():
        text = f"A destination's name has 1 to {NAME_CHARS_MAX} printable characters."
        raise ValidationFailedError(text, fields={"name": text})
    return name
