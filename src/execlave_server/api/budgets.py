"""Budget rules over HTTP, in the platform's form."""

from typing import Any

import msgspec
from starlette.responses import Response

from execlave_server.actions.edit_budget import change_budget, create_budget, delete_budget
from execlave_server.actions.read_budget_usage import Usage, read_usage
from execlave_server.actions.read_budgets import StoredBudget, get_budget, list_budgets
from execlave_server.api.codec import data, decode, page
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso
from execlave_server.audit.canonical import NANO
from execlave_server.errors import ValidationFailedError
from execlave_server.model.budgets import BudgetTerms


async def get_budgets(exchange: Exchange) -> Response:
    """Every budget rule, the oldest first, each with its usage where it is about one payer."""
    budgets = await list_budgets(exchange.services.store, exchange.caller.organization)
    shown = [_view(budget, await _usage(exchange, budget, None)) for budget in budgets]
    return page(shown, len(shown))


async def post_budget(exchange: Exchange) -> Response:
    """A new budget rule."""
    terms, organization = decode(exchange.body, BudgetTerms), exchange.caller.organization
    budget = await create_budget(exchange.services, organization, _actor(exchange), terms)
    return data(_view(budget, await _usage(exchange, budget, None)), 201)


async def get_one_budget(exchange: Exchange) -> Response:
    """One budget rule."""
    budget = await _asked(exchange)
    return data(_view(budget, await _usage(exchange, budget, None)))


async def put_budget(exchange: Exchange) -> Response:
    """The rule's next version; the body is the whole of it."""
    terms, organization = decode(exchange.body, BudgetTerms), exchange.caller.organization
    budget = await change_budget(exchange.services, organization, _actor(exchange), exchange.path("id"), terms)
    return data(_view(budget, await _usage(exchange, budget, None)))


async def delete_one_budget(exchange: Exchange) -> Response:
    """A budget rule goes."""
    budget_id = exchange.path("id")
    await delete_budget(exchange.services, exchange.caller.organization, _actor(exchange), budget_id)
    return data({"id": budget_id, "deleted": True})


async def get_budget_usage(exchange: Exchange) -> Response:
    """How far a budget is used up; `scopeId` names whose, for a rule about each for itself."""
    budget = await _asked(exchange)
    usage = await _usage(exchange, budget, exchange.request.query_params.get("scopeId"))
    if usage is None:
        scope = budget.rule.terms.scope
        raise ValidationFailedError(
            f"This rule is about each {scope} for itself. Name one: ?scopeId=...", fields={"scopeId": "is required"}
        )
    return data(usage)


async def _asked(exchange: Exchange) -> StoredBudget:
    return await get_budget(exchange.services.store, exchange.caller.organization, exchange.path("id"))


async def _usage(exchange: Exchange, budget: StoredBudget, whose: str | None) -> dict[str, Any] | None:
    usage = await read_usage(exchange.services, exchange.caller, budget.rule, whose)
    return None if usage is None else _usage_view(usage)


def _usage_view(usage: Usage) -> dict[str, Any]:
    return {
        "spentUsd": usage.used / NANO,
        "reservedUsd": usage.reserved / NANO,
        "remainingUsd": usage.remaining / NANO,
        "windowStartsAt": iso(usage.meter.starts_at_us),
        "windowEndsAt": iso(usage.meter.ends_at_us),
    }


def _view(budget: StoredBudget, usage: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": budget.id,
        "version": budget.version,
        **msgspec.to_builtins(budget.rule.terms),
        "usage": usage,
        "createdAt": iso(budget.created_at_us),
        "updatedAt": iso(budget.updated_at_us),
    }


def _actor(exchange: Exchange) -> str:
    return exchange.caller.actor
