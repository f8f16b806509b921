"""A new key-encryption key while everything runs: at no moment is a secret unreadable, wherever this is killed.

1. The key file gets a new primary key beside the old one. Every process reads it again before it next seals.
2. The old keys are retired in the database: from this commit on nothing sealed under them can be stored.
3. Each sealed secret is wrapped anew, exactly as it was found or not at all. A process that cannot open what it finds
   reads the key file again.
4. The old keys leave the file.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.audit.chain import Event
from execlave_server.audit.changes import COMMAND
from execlave_server.audit.events import Kind
from execlave_server.audit.events import Rotation as RotationDetails
from execlave_server.errors import SecretError
from execlave_server.model.organizations import Organization
from execlave_server.store.protocol import Call, Check, NewEvent, Parameters, Store, Write
from execlave_server.vault.envelope import Vault, key_id_of
from execlave_server.vault.key_encryption_key import KeyFile, with_new_primary

SECRETS_PER_COMMIT = 100  # so that commits beside it wait milliseconds


class RotationStep(StrEnum):
    """What a rotation has just done."""

    KEY_ADDED = "the key file has a new key"
    OLD_RETIRED = "nothing more is sealed under the old one"
    REWRAPPED = "secrets wrapped anew"
    OLD_REMOVED = "the old key has left the key file"


class Rotation(Struct, frozen=True):
    """What a rotation did. `unreadable` are secrets that none of the keys opened before it either."""

    resumed: bool
    primary_key_id: int
    rewrapped: int
    unreadable: list[str]
    removed_keys: int


class SealedSecret(Struct, frozen=True):
    """A sealed secret and where it is kept: `kind` is secret, destination or candidate."""

    kind: str
    id: str
    sealed: bytes


Report = Callable[[RotationStep, int, int], object]


async def rotate_secrets(services: Services, key_file: KeyFile, *, keep_old: bool, report: Report) -> Rotation:
    """Wrap every sealed secret under a new key; what an interrupted rotation left is finished under that one's key.

    `report` is told (step, done, of). Run one at a time. Raises SecretError when the key file cannot be replaced.
    """
    store, vault = services.store, Vault(key_file)
    key_file.refresh()
    resumed = bool(key_file.keyset.old_ids) and bool(await _wrapped_otherwise(store, key_file))
    if not resumed:
        key_file.replace(with_new_primary(key_file.keyset))
    report(RotationStep.KEY_ADDED, 1, 1)
    await _retire(services, key_file)
    report(RotationStep.OLD_RETIRED, 1, 1)
    rewrapped, unreadable = 0, set[SealedSecret]()
    while left := [each for each in await _wrapped_otherwise(store, key_file) if each not in unreadable]:
        for start in range(0, len(left), SECRETS_PER_COMMIT):
            calls, failed = _rewrap(vault, left[start : start + SECRETS_PER_COMMIT])
            unreadable |= failed
            await store.commit(Write(calls=calls))
            rewrapped += len(calls)
            report(RotationStep.REWRAPPED, min(start + SECRETS_PER_COMMIT, len(left)), len(left))
    removed = 0 if keep_old else len(key_file.keyset.old_ids)
    if removed:
        key_file.replace(key_file.keyset.only_primary())
        report(RotationStep.OLD_REMOVED, 1, 1)
    names = sorted(f"{each.kind} {each.id}" for each in unreadable)
    return Rotation(resumed, key_file.keyset.primary_key_id, rewrapped, names, removed)


def sealed_in_time(sealed: bytes) -> Check:
    """Holds while the key under which a secret was just sealed is not retired; otherwise seal it again."""
    return Check("key_is_retired", {"key_id": key_id_of(sealed)}, None)


async def _wrapped_otherwise(store: Store, key_file: KeyFile) -> list[SealedSecret]:
    """The sealed secrets that are not under the primary key."""
    primary = key_file.keyset.primary_key_id
    return [each for each in await store.find(SealedSecret, "list_sealed") if key_id_of(each.sealed) != primary]


async def _retire(services: Services, key_file: KeyFile) -> None:
    """Retire the old keys; the first time, every chain says so, and how many secrets are wrapped anew."""
    now_us, store, keyset = services.clock.now_us(), services.store, key_file.keyset
    calls = [Call("retire_key", {"key_id": key_id, "now_us": now_us}) for key_id in keyset.old_ids]
    known = [bool(await store.rows("key_is_retired", {"key_id": key_id})) for key_id in keyset.old_ids]
    events: list[NewEvent] = []
    if not all(known):
        secrets = len(await _wrapped_otherwise(store, key_file))
        details = RotationDetails(key_encryption_key=str(keyset.primary_key_id), secrets=secrets)
        event = Event(Kind.SECRETS_ROTATED, now_us, COMMAND, f"kek:{keyset.primary_key_id}", details)
        organizations = await store.find(Organization, "list_organizations")
        events = [NewEvent(organization.number, event) for organization in organizations]
    await store.commit(Write(calls=calls, events=events))


def _rewrap(vault: Vault, some: Sequence[SealedSecret]) -> tuple[list[Call], set[SealedSecret]]:
    """The statements that store these secrets wrapped anew, and those that cannot be."""
    calls: list[Call] = []
    failed: set[SealedSecret] = set()
    for each in some:
        try:
            changed: Parameters = {"id": each.id, "sealed": each.sealed, "rewrapped": vault.rewrap(each.sealed)}
        except SecretError:
            failed.add(each)
        else:
            calls.append(Call(f"rewrap_{each.kind}", changed))
    return calls, failed
