from contextlib import suppress

from execlave_server.actions.record_change import settings_changed
from execlave_server.actions.services import Services
from execlave_server.audit.changes import COMMAND, key_issued, key_revoked
from execlave_server.errors import NotFoundError, ValidationFailedError
from execlave_server.model.keys import compose_key
from execlave_server.model.organizations import ApiKey, KeyEnvironment, Organization, Role
from execlave_server.model.people import Person
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, ChangeEvent, NewEvent, Parameters, StaleError, Write, integer

KEY_NAME_CHARS_MAX = 100
ORGANIZATION_CHARS_MAX = 100


async def create_organization(services: Services, name: str) -> Organization:
    """A new tenant. Its id is random, so that it says nothing of how many there are."""
    organization_id = f"org_{services.clock.uuid().replace('-', '')}"
    now_us = services.clock.now_us()
    written = await services.store.commit(
        Write(calls=[Call("insert_organization", {"id": organization_id, "name": name, "now_us": now_us})])
    )
    return Organization(integer(written.rows[0][0][0]), organization_id, name, 1, now_us)


async def find_organization(services: Services, organization_id: str | None) -> Organization:
    """The organization by id, or the first one. Raises NotFoundError with the ids there are."""
    organizations = await services.store.find(Organization, "list_organizations")
    for organization in organizations:
        if organization_id in (None, organization.id):
            return organization
    known = ", ".join(organization.id for organization in organizations) or "none"
    raise NotFoundError(f"There is no organization {organization_id}. Known: {known}.")


async def issue_key(
    services: Services,
    organization: Organization,
    *,
    name: str,
    environment: KeyEnvironment,
    role: Role,
    actor: str = COMMAND,
) -> tuple[str, Secret]:
    """A new API key: its id, and the key itself, which is shown once and kept nowhere. Raises ValidationFailedError."""
    if len(name) > KEY_NAME_CHARS_MAX:
        raise ValidationFailedError(
            f"The name has more than {KEY_NAME_CHARS_MAX} characters.", fields={"name": "is too long"}
        )
    key = Secret(compose_key(environment, services.clock.token()))
    key_id = f"key_{services.clock.uuid().replace('-', '')}"
    now_us = services.clock.now_us()
    row: Parameters = {
        "id": key_id,
        "organization": organization.number,
        "name": name,
        "environment": environment,
        "role": role,
        "hash": services.keys.hash(key.reveal()),
        "hint": key.last_four,
        "now_us": now_us,
    }
    event = NewEvent(organization.number, key_issued(actor, now_us, key_id, environment, role))
    await services.store.commit(Write(calls=[Call("insert_api_key", row)], events=[event]))
    return key_id, key


async def revoke_key(services: Services, organization: Organization, key_id: str, *, actor: str = COMMAND) -> None:
    """From its commit on, no decision and no trace is accepted under the key. Raises NotFoundError."""
    now_us = services.clock.now_us()
    row: Parameters = {"organization": organization.number, "id": key_id, "now_us": now_us}
    event = ChangeEvent(organization.number, 0, key_revoked(actor, now_us))
    written = await services.store.commit(Write(calls=[Call("revoke_api_key", row)], events=[event]))
    services.governed.set()
    if not written.rows[0]:
        raise NotFoundError(f"There is no live API key {key_id} in {organization.id}.")


async def note_key_uses(services: Services) -> None:
    """Write down that the keys presented to this process lately were used now."""
    now_us = services.clock.now_us()
    used = [Call("key_used", {"id": key_id, "now_us": now_us}) for key_id in sorted(services.keys.take_used())]
    if used:
        await services.store.commit(Write(calls=used))


async def rename_organization(services: Services, person: Person, organization: Organization, name: str) -> None:
    """Call it something else. Raises ValidationFailedError."""
    name = name.strip()
    if not name or len(name) > ORGANIZATION_CHARS_MAX:
        raise ValidationFailedError(
            f"The organization needs a name of 1 to {ORGANIZATION_CHARS_MAX} characters.",
            fields={"name": f"must have 1 to {ORGANIZATION_CHARS_MAX} characters"},
        )
    row: Parameters = {"organization": organization.number, "name": name}
    change = settings_changed(person, f"organization:{organization.id}", services.clock.now_us(), {"name": name})
    with suppress(StaleError):  # it is called that already
        await services.store.commit(Write(charges=[Call("rename_organization", row)], events=[change]))


async def list_keys(services: Services, organization: Organization) -> list[ApiKey]:
    """Every key issued, the revoked ones too."""
    return await services.store.find(ApiKey, "list_api_keys", {"organization": organization.number})
