"""Make an organization's policies those of some files: first the plan, then each step through its action."""

from collections.abc import AsyncIterator, Iterable
from enum import StrEnum
from typing import NamedTuple

from execlave_server.actions.edit_policy import body_of, change_policy, create_policy, delete_policy, is_validator
from execlave_server.actions.lint_policies import FilePolicy
from execlave_server.actions.read_policies import StoredPolicy, list_policies
from execlave_server.actions.services import Services
from execlave_server.model.secret import Secret

ACTOR = "command:policy sync"


class Change(StrEnum):
    """What becomes of a policy. Deletions come first: they make room and free names."""

    DELETE = "delete"
    CHANGE = "change"
    CREATE = "create"
    KEEP = "keep"


_ORDER = {change: place for place, change in enumerate(Change)}


class Step(NamedTuple):
    """One policy, by name: `wanted` of the files, `stored` in the organization."""

    change: Change
    name: str
    wanted: FilePolicy | None
    stored: StoredPolicy | None


class Done(NamedTuple):
    """A step that was taken. `secret` is that of a policy which is a validator from now on."""

    step: Step
    policy_id: str
    secret: Secret | None = None


def plan_sync(wanted: Iterable[FilePolicy], stored: Iterable[StoredPolicy], *, delete: bool) -> list[Step]:
    """What has to be done, policies being the same by name; those that no file names go only with `delete`."""
    present = {each.policy.name: each for each in stored}
    named = {each.policy.name: each for each in wanted}
    steps = [Step(_change(each, present.get(name)), name, each, present.get(name)) for name, each in named.items()]
    if delete:
        steps += [Step(Change.DELETE, name, None, each) for name, each in present.items() if name not in named]
    return sorted(steps, key=lambda step: (_ORDER[step.change], step.name))


async def plan_policies(
    services: Services, organization: int, wanted: Iterable[FilePolicy], *, delete: bool
) -> list[Step]:
    """`plan_sync` against what the organization has now."""
    return plan_sync(wanted, await list_policies(services.store, organization), delete=delete)


async def sync_policies(services: Services, organization: int, steps: Iterable[Step]) -> AsyncIterator[Done]:
    """Take the steps one by one, each a commit of its own; planned and run again, it goes on where it was stopped."""
    for step in steps:
        if (done := await _take(services, organization, step)) is not None:
            yield done


async def _take(services: Services, organization: int, step: Step) -> Done | None:
    match step:
        case Step(Change.CREATE, _, FilePolicy() as wanted, _):
            made = await create_policy(services, organization, ACTOR, wanted.body)
            return Done(step, made.id, _new_secret(services, None, made))
        case Step(Change.CHANGE, _, FilePolicy() as wanted, StoredPolicy() as stored):
            changed = await change_policy(services, organization, ACTOR, stored.id, wanted.body)
            return Done(step, stored.id, _new_secret(services, stored, changed))
        case Step(Change.DELETE, _, _, StoredPolicy() as stored):
            await delete_policy(services, organization, ACTOR, stored.id)
            return Done(step, stored.id)
        case _:
            return None


def _change(wanted: FilePolicy, stored: StoredPolicy | None) -> Change:
    if stored is None:
        return Change.CREATE
    return Change.KEEP if body_of(wanted.policy) == body_of(stored.policy) else Change.CHANGE


def _new_secret(services: Services, before: StoredPolicy | None, policy: StoredPolicy) -> Secret | None:
    becomes = is_validator(policy) and not (before is not None and is_validator(before))
    return services.validators.secret_of(policy.id) if becomes else None
