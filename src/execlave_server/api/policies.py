"""Policies over HTTP, in the platform's form."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.responses import Response

from execlave_server.actions.edit_policy import change_policy, create_policy, delete_policy, is_validator, patch_policy
from execlave_server.actions.read_policies import StoredPolicy, get_policy, list_policies, list_versions
from execlave_server.actions.read_shadow import SHADOW_HOURS_MAX, Shadow, read_shadow
from execlave_server.actions.services import Services
from execlave_server.api.codec import data, page, whole_number
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso


async def get_policies(exchange: Exchange) -> Response:
    """Every policy, by name."""
    policies = await list_policies(exchange.services.store, exchange.caller.organization)
    return page([policy_view(policy) for policy in policies], len(policies))


async def post_policy(exchange: Exchange) -> Response:
    """A new policy."""
    made = await create_policy(exchange.services, exchange.caller.organization, exchange.caller.actor, exchange.body)
    return data({**policy_view(made), **_new_secret(exchange, None, made)}, 201)


async def get_one_policy(exchange: Exchange) -> Response:
    """One policy."""
    return data(
        policy_view(await get_policy(exchange.services.store, exchange.caller.organization, exchange.path("id")))
    )


async def put_policy(exchange: Exchange) -> Response:
    """The policy's next version; the body is the whole of it."""
    return await _changed(exchange, change_policy)


async def patch_one_policy(exchange: Exchange) -> Response:
    """The policy's next version: as it is, but for the members of the body."""
    return await _changed(exchange, patch_policy)


async def get_policy_shadow(exchange: Exchange) -> Response:
    """What a policy said in the decisions of the last hours without changing them."""
    hours = whole_number(exchange.request.query_params.get("hours", "24"), "hours", SHADOW_HOURS_MAX)
    services, organization = exchange.services, exchange.caller.organization
    shadow = await read_shadow(services, organization, exchange.path("id"), hours)
    return data(shadow_view(shadow))


async def delete_one_policy(exchange: Exchange) -> Response:
    """A policy goes; its versions stay."""
    policy_id = exchange.path("id")
    caller = exchange.caller
    await delete_policy(exchange.services, caller.organization, caller.actor, policy_id)
    return data({"id": policy_id, "deleted": True})


async def get_policy_versions(exchange: Exchange) -> Response:
    """Every version that a policy had, the newest first."""
    versions = await list_versions(exchange.services.store, exchange.caller.organization, exchange.path("id"))
    shown = [
        {
            **_body(version.body),
            "id": version.id,
            "version": version.version,
            "change": version.change,
            "changedBy": version.changed_by,
            "changedAt": iso(version.changed_at_us),
        }
        for version in versions
    ]
    return page(shown, len(shown))


async def _changed(
    exchange: Exchange, change: Callable[[Services, int, str, str, bytes], Awaitable[StoredPolicy]]
) -> Response:
    services, organization, policy_id = exchange.services, exchange.caller.organization, exchange.path("id")
    before = await get_policy(services.store, organization, policy_id)
    changed = await change(services, organization, exchange.caller.actor, policy_id, exchange.body)
    return data({**policy_view(changed), **_new_secret(exchange, before, changed)})


def _new_secret(exchange: Exchange, before: StoredPolicy | None, policy: StoredPolicy) -> dict[str, str]:
    """The secret that a validator's questions are signed with, when the policy becomes one; never again."""
    if not is_validator(policy) or (before is not None and is_validator(before)):
        return {}
    return {"validatorSecret": exchange.services.validators.secret_of(policy.id).reveal()}


def shadow_view(shadow: Shadow) -> dict[str, Any]:
    """A policy's shadow as JSON."""
    return {
        "policyId": shadow.policy_id,
        "from": iso(shadow.from_us),
        "to": iso(shadow.to_us),
        "decisions": shadow.decisions,
        "complete": shadow.complete,
        "matched": shadow.matched,
        "modes": dict(shadow.modes),
        "rules": dict(shadow.rules),
        "newlyStopped": shadow.let_go,
        "examples": [
            {"decisionId": each.id, "traceId": each.trace_id, "decidedAt": iso(each.decided_at_us)}
            for each in shadow.examples
        ],
    }


def policy_view(policy: StoredPolicy) -> dict[str, Any]:
    """A policy as the API shows it."""
    return {
        **_body(policy.body),
        "id": policy.id,
        "version": policy.version,
        "createdAt": iso(policy.created_at_us),
        "updatedAt": iso(policy.updated_at_us),
    }


def _body(stored: str) -> dict[str, Any]:
    return msgspec.json.decode(stored, type=dict[str, Any])
