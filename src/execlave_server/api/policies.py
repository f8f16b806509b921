"""Policies over HTTP, in the platform's form."""

from typing import Any

import msgspec
from starlette.responses import Response

from execlave_server.actions.edit_policy import change_policy, create_policy, delete_policy
from execlave_server.actions.read_policies import StoredPolicy, get_policy, list_policies, list_versions
from execlave_server.api.codec import data, page
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso


async def get_policies(exchange: Exchange) -> Response:
    """Every policy, by name."""
    policies = await list_policies(exchange.services.store, exchange.caller.organization)
    return page([_view(policy) for policy in policies], len(policies))


async def post_policy(exchange: Exchange) -> Response:
    """A new policy."""
    caller = exchange.caller
    return data(_view(await create_policy(exchange.services, caller.organization, caller.actor, exchange.body)), 201)


async def get_one_policy(exchange: Exchange) -> Response:
    """One policy."""
    return data(_view(await get_policy(exchange.services.store, exchange.caller.organization, exchange.path("id"))))


async def put_policy(exchange: Exchange) -> Response:
    """The policy's next version; the body is the whole of it."""
    caller, policy_id = exchange.caller, exchange.path("id")
    changed = await change_policy(exchange.services, caller.organization, caller.actor, policy_id, exchange.body)
    return data(_view(changed))


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


def _view(policy: StoredPolicy) -> dict[str, Any]:
    return {
        **_body(policy.body),
        "id": policy.id,
        "version": policy.version,
        "createdAt": iso(policy.created_at_us),
        "updatedAt": iso(policy.updated_at_us),
    }


def _body(stored: str) -> dict[str, Any]:
    return msgspec.json.decode(stored, type=dict[str, Any])
