"""A new key-encryption key while everything runs: nothing is unreadable at any moment, wherever a kill comes."""

import json
import stat

import msgspec
import pytest

from execlave_server.actions.configure_destination import (
    Wanted,
    add_destination,
    change_destination,
    get_destination,
)
from execlave_server.actions.issue_key import create_organization
from execlave_server.actions.rotate_secrets import Rotation, RotationStep, rotate_secrets
from execlave_server.actions.try_destination import try_destination
from execlave_server.app.installation import open_services
from execlave_server.app.key_file import key_file
from execlave_server.errors import SecretError
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, Write
from execlave_server.vault.envelope import Vault, api_key_of
from execlave_server.vault.key_encryption_key import open_key_file

OTHER_KEY = "f" * 32


class KilledError(BaseException):
    """Ends a rotation where it stands, as a kill would: nothing of it runs afterwards."""


def silent(_step: RotationStep, _done: int, _of: int) -> None:
    """Nobody watches."""


def killed_after(wanted: RotationStep):
    """A report that kills the rotation at a step."""

    def report(step: RotationStep, _done: int, _of: int) -> None:
        if step is wanted:
            raise KilledError

    return report


async def rotate(rig, *, keep_old: bool = False, report=silent) -> Rotation:
    """Rotate as the command does, with a key file opened anew."""
    file = open_key_file(key_file(rig.services.settings))
    return await rotate_secrets(rig.services, file, keep_old=keep_old, report=report)


async def opened(rig, vault: Vault) -> list[str]:
    """The Datadog keys of the rig's destination, present and candidate, as a vault opens them."""
    destination = await get_destination(rig.services, rig.organization.number, rig.destination.id)
    bound_to = api_key_of(destination.organization_id, destination.id)
    sealed = [destination.sealed_key, destination.candidate_sealed_key]
    return [vault.open(each, bound_to=bound_to).reveal() for each in sealed if each]


async def assert_all_opens(rig) -> None:
    """Everything opens: in the process that runs since before, and in one that starts now."""
    await change_destination(rig.services, rig.organization.number, rig.destination.id, Wanted(api_key=Secret("new")))
    assert (await opened(rig, rig.services.vault))[1] == "new"
    assert (await opened(rig, Vault(open_key_file(key_file(rig.services.settings)))))[1] == "new"
    async with open_services(rig.services.settings, rig.clock) as fresh:
        assert await fresh.keys.identify(rig.agent_key)


async def test_a_rotation_is_in_the_audit_chain_once(rig) -> None:
    """Run through, or killed and resumed: each organization has one entry of it, with the new key's id."""
    await create_organization(rig.services, "another")
    with pytest.raises(KilledError):
        await rotate(rig, report=killed_after(RotationStep.OLD_RETIRED))
    rotation = await rotate(rig)

    told = await rig.services.store.rows(
        "audit_events", {"organization": rig.organization.number, "after": 0, "kind": "secrets.rotated", "limit": 9}
    )
    [details] = [json.loads(row[6]) for row in told]
    assert (details["key_encryption_key"], details["secrets"]) == (str(rotation.primary_key_id), 2)
    other = {"organization": rig.organization.number + 1, "after": 0, "kind": "secrets.rotated", "limit": 9}
    assert len(await rig.services.store.rows("audit_events", other)) == 1


async def test_after_a_rotation_the_old_key_opens_nothing(rig) -> None:
    """Present key, candidate and pepper are wrapped under the new key alone; a copy of the old file opens none."""
    path = key_file(rig.services.settings)
    copy = path.with_name("copy.kek")
    copy.touch(mode=0o600)
    copy.write_bytes(path.read_bytes())
    await change_destination(
        rig.services, rig.organization.number, rig.destination.id, Wanted(api_key=Secret(OTHER_KEY))
    )
    before = await opened(rig, Vault(open_key_file(copy)))

    rotation = await rotate(rig)

    assert before[1] == OTHER_KEY
    assert (rotation.resumed, rotation.rewrapped, rotation.unreadable, rotation.removed_keys) == (False, 3, [], 1)
    with pytest.raises(SecretError, match="another key-encryption key"):
        await opened(rig, Vault(open_key_file(copy)))
    (pepper,) = await rig.services.store.rows("find_secret", {"name": "api_key_pepper"})
    with pytest.raises(SecretError):
        Vault(open_key_file(copy)).open(pepper[0], bound_to="installation/apiKeyPepper")
    assert await opened(rig, rig.services.vault) == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in path.parent.glob("*.kek*")) == ["copy.kek", "data.kek"]
    await assert_all_opens(rig)


@pytest.mark.parametrize("step", RotationStep)
async def test_a_killed_rotation_leaves_everything_readable(rig, step) -> None:
    """Killed after any step, running and new processes open everything and seal anew; a second one ends in one key."""
    with pytest.raises(KilledError):
        await rotate(rig, report=killed_after(step))

    await assert_all_opens(rig)
    again = await rotate(rig)
    await assert_all_opens(rig)

    file = open_key_file(key_file(rig.services.settings))
    assert again.resumed is (step in {RotationStep.KEY_ADDED, RotationStep.OLD_RETIRED})
    assert file.keyset.key_ids == [again.primary_key_id]


async def test_a_rotation_killed_half_way_through_the_secrets_is_finished(rig) -> None:
    """With some secrets under the new key and some under the old one, all open, and the second run does the rest."""
    with pytest.raises(KilledError):
        await rotate(rig, report=killed_after(RotationStep.OLD_RETIRED))
    file = open_key_file(key_file(rig.services.settings))
    before = await get_destination(rig.services, rig.organization.number, rig.destination.id)
    half = {"id": before.id, "sealed": before.sealed_key, "rewrapped": Vault(file).rewrap(before.sealed_key)}
    await rig.services.store.commit(Write(calls=[Call("rewrap_destination", half)]))

    await assert_all_opens(rig)
    again = await rotate(rig)

    assert (again.resumed, again.rewrapped) == (True, 1)  # the pepper: the candidate was sealed meanwhile
    await assert_all_opens(rig)


async def test_delivery_goes_on_during_a_rotation(rig) -> None:
    """A worker that delivers before, during and after a rotation delivers everything once, and takes up changes."""
    await rig.ingest(500, prefix="before")
    async with rig.worker():
        await rotate(rig)
        await rig.ingest(500, prefix="during")
        await rotate(rig)
        await change_destination(
            rig.services, rig.organization.number, rig.destination.id, Wanted(service="taken-up-anew")
        )
        await rig.ingest(500, prefix="after")
        await rig.until(lambda counts: counts.delivered == 1_500)

    assert len(await rig.logs()) == 1_500


async def test_a_key_sealed_before_and_stored_after_retirement_is_sealed_again(rig, monkeypatch) -> None:
    """A destination added by a process that has not seen the new key file yet is stored under the new key."""
    vault = rig.services.vault
    stale = Vault(open_key_file(key_file(rig.services.settings)))
    sealed_before = [stale.seal(Secret(OTHER_KEY), bound_to="x")]
    await rotate(rig)
    seals = []

    def seal(secret: Secret, *, bound_to: str) -> bytes:
        seals.append(bound_to)
        return sealed_before.pop() if sealed_before else Vault.seal(vault, secret, bound_to=bound_to)

    monkeypatch.setattr(vault, "seal", seal)
    wanted = Wanted(name="second", site="sandbox", api_key=Secret(OTHER_KEY))
    added = await add_destination(rig.services, rig.organization.id, rig.organization.number, wanted)

    assert len(seals) == 2
    bound_to = api_key_of(added.organization_id, added.id)
    assert vault.open(added.sealed_key, bound_to=bound_to).reveal() == OTHER_KEY


async def test_a_change_decided_on_the_old_wrapping_does_not_bring_it_back(rig, monkeypatch) -> None:
    """A rotation between reading and saving a destination makes the save fail, instead of storing the old wrapping."""
    services = rig.services
    commit = services.store.commit

    async def rotate_first(write: Write):
        monkeypatch.setattr(services.store, "commit", commit)
        await rotate(rig)
        return await commit(write)

    monkeypatch.setattr(services.store, "commit", rotate_first)
    with pytest.raises(Exception, match="changed by somebody else"):
        await change_destination(services, rig.organization.number, rig.destination.id, Wanted(service="other"))

    assert await opened(rig, Vault(open_key_file(key_file(services.settings))))


async def test_the_old_key_is_kept_on_request(rig) -> None:
    """With `keep_old` the old key stays in the file for older backups, and the next rotation still makes a new one."""
    old = open_key_file(key_file(rig.services.settings)).keyset.primary_key_id

    first = await rotate(rig, keep_old=True)
    kept = open_key_file(key_file(rig.services.settings)).keyset
    second = await rotate(rig, keep_old=True)

    assert (kept.primary_key_id, kept.key_ids) == (first.primary_key_id, [old, first.primary_key_id])
    assert (second.resumed, second.primary_key_id not in kept.key_ids) == (False, True)
    await assert_all_opens(rig)


async def test_a_secret_that_opens_under_no_key_is_named(rig) -> None:
    """What was unreadable before is named and left as it is; everything else is rotated."""
    broken = {"name": "broken", "sealed": b"\x00\x00\x00\x05\x01abcd" + b"x" * 40}
    await rig.services.store.commit(Write(calls=[Call("insert_secret", broken)]))

    rotation = await rotate(rig)

    assert (rotation.unreadable, rotation.rewrapped) == (["secret broken"], 2)
    await assert_all_opens(rig)


async def test_a_key_file_that_cannot_be_replaced_changes_nothing(rig) -> None:
    """Where the new key cannot be written the rotation fails before it touches anything."""
    path = key_file(rig.services.settings)
    blocked = path.with_name(path.name + ".new")
    blocked.mkdir()
    before = path.read_bytes()

    with pytest.raises(SecretError, match="cannot be replaced"):
        await rotate(rig)

    assert path.read_bytes() == before
    assert (
        await rig.services.store.rows("key_is_retired", {"key_id": msgspec.json.decode(before)["primaryKeyId"]}) == []
    )
    assert await try_destination(rig.services, rig.organization.number, rig.destination.id)
