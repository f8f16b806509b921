"""What changes how agents are governed stands in the audit chain: who, what of it, what it is now."""

import json
from dataclasses import replace

from execlave_server.actions.configure_destination import (
    Wanted,
    add_destination,
    change_destination,
    disable_destination,
)
from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.issue_key import issue_key, revoke_key
from execlave_server.actions.note_settings import note_settings
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.actions.try_destination import try_destination
from execlave_server.audit.chain import Entry, Head, verify_chain
from execlave_server.model.agents import AgentProfile, AgentStatus, AutonomyLevel
from execlave_server.model.destinations import DestinationState
from execlave_server.model.organizations import KeyEnvironment, Role
from execlave_server.model.secret import Secret


async def recorded(rig, after: int = 0) -> list[Entry]:
    """The chain from an entry on; all of it holds."""
    wanted = {"organization": rig.organization.number, "after": 0, "limit": 1_000}
    entries = await rig.services.store.find(Entry, "audit_entries", wanted)
    assert list(verify_chain(entries, Head(rig.organization.id))) == []
    return entries[after:]


def told(entries: list[Entry]) -> list[tuple[str, str, str]]:
    """Kind, actor, subject."""
    return [(entry.kind, entry.actor, entry.subject) for entry in entries]


def registration(level: AutonomyLevel | None = None) -> Registration:
    """An agent's word of itself."""
    return Registration("bot", "Bot", "chatbot", "custom", "production", level, AgentProfile())


async def test_a_destination_s_life_is_recorded(rig) -> None:
    """Added, enabled, changed, disabled: each is an entry; a test that only passed again is none."""
    destination = rig.destination
    seen = len(await recorded(rig))
    first = [each for each in await recorded(rig) if each.subject == f"destination:{destination.id}"]

    wanted = Wanted(ddtags="team:a")
    await change_destination(rig.services, rig.organization.number, destination.id, wanted, actor="key:k1")
    await try_destination(rig.services, rig.organization.number, destination.id)
    await disable_destination(rig.services, rig.organization.number, destination.id, actor="person:p1")
    await add_destination(
        rig.services, rig.organization.id, rig.organization.number, Wanted("B", "sandbox", Secret("k" * 32))
    )

    after = await recorded(rig, seen)
    assert [entry.kind for entry in first] == ["destination.changed", "destination.enabled"]
    assert told(after)[:2] == [
        ("destination.changed", "key:k1", f"destination:{destination.id}"),
        ("destination.disabled", "person:p1", f"destination:{destination.id}"),
    ]
    assert [(entry.kind, entry.actor, json.loads(entry.details)["state"]) for entry in after[2:]] == [
        ("destination.changed", "command", "draft")
    ]
    digests = {json.loads(entry.details)["settings_digest"] for entry in (*first, *after)}
    assert len(digests) == 3


async def test_what_the_worker_does_to_a_destination_is_recorded(rig) -> None:
    """A destination that is held, and that resumes by itself, leaves an entry of the server each time."""
    seen = len(await recorded(rig))
    await rig.keys("another-key")
    await rig.ingest(1)
    async with rig.worker():
        await rig.until_held()
        await rig.keys("0123456789abcdef0123456789abcdef")
        await rig.until(lambda counts: counts.delivered == 1, pushing_us=31_000_000)

    assert (await rig.reload()).state is DestinationState.ENABLED
    subject = f"destination:{rig.destination.id}"
    assert [each for each in told(await recorded(rig, seen)) if each[0] != "batch.root"] == [
        ("destination.held", "server", subject),
        ("destination.enabled", "server", subject),
    ]


async def test_keys_issued_and_revoked_are_recorded(rig) -> None:
    """A key's entry names its environment and role, never the key; one that is not there is not recorded."""
    environment, role = KeyEnvironment.STAGING, Role.ADMIN
    seen = len(await recorded(rig))

    key_id, key = await issue_key(rig.services, rig.organization, name="n", environment=environment, role=role)
    await revoke_key(rig.services, rig.organization, key_id, actor="person:p1")

    after = await recorded(rig, seen)
    assert told(after) == [
        ("key.issued", "command", f"key:{key_id}"),
        ("key.revoked", "person:p1", f"key:{key_id}"),
    ]
    details = {"environment": "stg", "key": key_id, "role": "admin"}
    assert [json.loads(entry.details) for entry in after] == [details, details]
    assert key.reveal() not in str(after)


async def test_agents_registered_and_stopped_are_recorded(rig) -> None:
    """Registering is an entry when it changes something; so is each change of status, with the one before."""
    key = await rig.services.keys.identify(rig.agent_key)
    seen = len(await recorded(rig))

    agent = await register_agent(rig.services, key, registration())
    await register_agent(rig.services, key, registration())
    await register_agent(rig.services, key, registration(AutonomyLevel.ADVISE))
    await set_agent_status(rig.services, key, "bot", AgentStatus.PAUSED, "because")

    after = [entry for entry in await recorded(rig, seen) if entry.kind.startswith("agent.")]  # a tier brings policies
    assert told(after) == [
        (kind, f"key:{key.id}", f"agent:{agent.id}")
        for kind in ("agent.registered", "agent.registered", "agent.status_changed")
    ]
    common = {"agent": agent.id, "environment": "production"}
    details = [json.loads(entry.details) for entry in after]
    assert len(details[2].pop("reason_digest")) == 64
    assert details == [
        {**common, "status": "active"},
        {**common, "status": "active", "autonomy_level": "advise"},
        {**common, "status": "paused", "was": "active", "autonomy_level": "advise"},
    ]
    assert "because" not in str(after)


async def test_other_settings_are_recorded_once(rig) -> None:
    """A server that starts with other settings than the last one says so; the same again is no entry."""
    seen = len(await recorded(rig))

    noted = [await note_settings(rig.services) for _ in range(2)]
    other = replace(rig.services.settings, https_proxy="http://user:secret@proxy:3128", public_url="https://a.example")
    noted += [await note_settings(replace(rig.services, settings=other)) for _ in range(2)]

    after = await recorded(rig, seen)
    assert (noted, told(after)) == ([1, 0, 1, 0], [("settings.changed", "server", "settings")] * 2)
    changed = ["https_proxy", "public_url"]
    database = ["database_url"] if rig.services.settings.database_url else []
    before = sorted(["data_dir", *database, "datadog_sandbox_url"])
    assert [json.loads(entry.details)["names"] for entry in after] == [
        sorted(before),
        sorted([*before, *changed]),
    ]
