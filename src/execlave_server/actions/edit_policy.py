"""Policies are created, changed and deleted; each version stays, and each change is an entry of the audit chain."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import msgspec

from execlave_server.actions.read_policies import StoredPolicy, get_policy, list_policies
from execlave_server.actions.record_overrides import override_events
from execlave_server.actions.services import Services
from execlave_server.audit.chain import Event
from execlave_server.audit.events import Kind, PolicyVersion
from execlave_server.errors import ConflictError
from execlave_server.model.policies import Policy, PolicyType, merge_body, parse_policy
from execlave_server.policy.engine import verify_policy
from execlave_server.policy.tiers import is_of_tier
from execlave_server.store.protocol import Call, Check, NewEvent, Parameters, StaleError, Write

POLICIES_MAX = 2_000  # that people made in one organization: each is compiled in every process

_CHANGES = {"created": Kind.POLICY_CREATED, "changed": Kind.POLICY_CHANGED, "deleted": Kind.POLICY_DELETED}


async def create_policy(services: Services, organization: int, actor: str, body: bytes) -> StoredPolicy:
    """A new policy, in force with the next decision. Raises ValidationFailedError; ConflictError for a name in use."""
    policy = parse_policy(body, new_policy_id(services))
    verify_policy(policy)
    stored = await list_policies(services.store, organization)
    if sum(not is_of_tier(one.policy) for one in stored) >= POLICIES_MAX:
        raise ConflictError(f"This organization has {POLICIES_MAX:,} policies, the most there may be. Delete some.")
    overrides = await override_events(services, organization, actor, policy)
    await _commit(services, _with(creation(services, organization, actor, policy), overrides), policy.name)
    return await get_policy(services.store, organization, policy.id)


async def change_policy(services: Services, organization: int, actor: str, policy_id: str, body: bytes) -> StoredPolicy:
    """The policy's next version; `body` is the whole of it. Raises NotFoundError, and as `create_policy`."""
    stored = await get_policy(services.store, organization, policy_id)
    return await _replace(services, organization, actor, stored, body)


async def patch_policy(services: Services, organization: int, actor: str, policy_id: str, body: bytes) -> StoredPolicy:
    """The policy's next version: as it is, but for the members of `body`. Raises as `change_policy`."""
    stored = await get_policy(services.store, organization, policy_id)
    return await _replace(services, organization, actor, stored, merge_body(stored.body.encode(), body))


async def delete_policy(services: Services, organization: int, actor: str, policy_id: str) -> None:
    """The policy says nothing any more; its versions stay. Raises NotFoundError."""
    stored = await get_policy(services.store, organization, policy_id)
    write = deletion(services, organization, actor, stored)
    gone = msgspec.structs.replace(stored.policy, version=stored.version + 1, is_active=False)
    overrides = await override_events(services, organization, actor, gone, stored.policy)
    await _commit(services, _with(_resting_on(write, organization, stored), overrides), stored.policy.name)


def is_validator(stored: StoredPolicy) -> bool:
    """True for a policy whose questions are signed."""
    return stored.policy.policy_type is PolicyType.CUSTOM_VALIDATOR


def new_policy_id(services: Services) -> str:
    """An id that no policy has."""
    return f"pol_{services.clock.uuid().replace('-', '')}"


def creation(services: Services, organization: int, actor: str, policy: Policy) -> Write:
    """What brings a policy into force."""
    return _change(
        services, organization, actor, policy, change="created", call=_call("insert_policy", organization, policy)
    )


def deletion(services: Services, organization: int, actor: str, stored: StoredPolicy) -> Write:
    """What takes a policy out of force."""
    policy = msgspec.structs.replace(stored.policy, version=stored.version + 1)
    return _change(
        services, organization, actor, policy, change="deleted", call=_call("delete_policy", organization, policy)
    )


def body_of(policy: Policy) -> str:
    """A policy as it is stored: JSON without id and version."""
    said = msgspec.to_builtins(policy)
    del said["id"], said["version"]
    return msgspec.json.encode(said, order="sorted").decode()


def _call(statement: str, organization: int, policy: Policy) -> Call:
    row: Parameters = {"organization": organization, "id": policy.id, "version": policy.version}
    return Call(
        statement, row if statement == "delete_policy" else {**row, "name": policy.name, "body": body_of(policy)}
    )


def _change(services: Services, organization: int, actor: str, policy: Policy, *, change: str, call: Call) -> Write:
    now_us, body = services.clock.now_us(), body_of(policy)
    version: Parameters = {
        "id": policy.id,
        "version": policy.version,
        "organization": organization,
        "change": change,
        "body": body,
        "changed_by": actor,
        "now_us": now_us,
    }
    details = PolicyVersion(
        mode=policy.enforcement_mode,
        policy=policy.id,
        rule_digest=sha256(body.encode()).hexdigest(),
        type=policy.policy_type,
        version=policy.version,
    )
    return Write(
        calls=[
            Call(call.statement, {**call.parameters, "now_us": now_us}),
            Call("insert_policy_version", version),
            Call("policies_changed", {"organization": organization}),
        ],
        events=[NewEvent(organization, Event(_CHANGES[change], now_us, actor, f"policy:{policy.id}", details))],
    )


def _with(write: Write, events: Sequence[NewEvent]) -> Write:
    return replace(write, events=[*write.events, *events])


def _resting_on(write: Write, organization: int, stored: StoredPolicy) -> Write:
    place: Parameters = {"organization": organization, "id": stored.id}
    return Write(checks=[Check("policy_standing", place, (stored.version,))], calls=write.calls, events=write.events)


async def _replace(
    services: Services, organization: int, actor: str, stored: StoredPolicy, body: bytes
) -> StoredPolicy:
    policy = parse_policy(body, stored.id, stored.version + 1)
    verify_policy(policy)
    write = _change(
        services, organization, actor, policy, change="changed", call=_call("change_policy", organization, policy)
    )
    overrides = await override_events(services, organization, actor, policy, stored.policy)
    await _commit(services, _with(_resting_on(write, organization, stored), overrides), policy.name)
    return await get_policy(services.store, organization, stored.id)


async def _commit(services: Services, write: Write, name: str) -> None:
    changed = write.calls[0]
    in_use: Parameters = {"organization": changed.parameters["organization"], "name": name}
    holders = await services.store.rows("policy_named", in_use)
    if changed.statement != "delete_policy" and any(row[0] != changed.parameters["id"] for row in holders):
        raise ConflictError(f"There is a policy named {name!r} already. Choose another name, or change that one.")
    taken = (
        None if changed.statement == "delete_policy" else Check("policy_named", in_use, holders[0] if holders else None)
    )
    try:
        await services.store.commit(
            Write(checks=[*write.checks, *([taken] if taken else [])], calls=write.calls, events=write.events)
        )
    except StaleError as error:
        raise ConflictError("This policy was changed by somebody else meanwhile. Read it again.") from error
