"""Budget rules are made, changed and deleted; each change holds from the next decision on, and is audited."""

import msgspec

from execlave_server.actions.read_budgets import StoredBudget, get_budget, list_budgets
from execlave_server.actions.services import Services
from execlave_server.audit.chain import Event
from execlave_server.audit.events import Budget, Kind
from execlave_server.errors import ConflictError, ValidationFailedError
from execlave_server.model.budgets import BUDGET_RULES_MAX, BudgetRule, BudgetScope, BudgetTerms
from execlave_server.policy.budgets import cap_of
from execlave_server.store.protocol import Call, NewEvent, Parameters, StaleError, Write

DELETED = "deleted"  # what the audit chain has for the action of a rule that is gone


async def create_budget(services: Services, organization: int, actor: str, terms: BudgetTerms) -> StoredBudget:
    """A new rule. Raises ValidationFailedError, ConflictError where there are too many."""
    if len(await list_budgets(services.store, organization)) >= BUDGET_RULES_MAX:
        raise ConflictError(f"This organization has {BUDGET_RULES_MAX:,} budget rules, the most there may be.")
    rule = BudgetRule(f"bud_{services.clock.uuid().replace('-', '')}", 1, _checked(terms))
    await _commit(services, "insert_budget_rule", organization, actor, rule)
    return await get_budget(services.store, organization, rule.id)


async def change_budget(
    services: Services, organization: int, actor: str, budget_id: str, terms: BudgetTerms
) -> StoredBudget:
    """The rule's next version. Raises NotFoundError, ValidationFailedError, ConflictError."""
    stored = await get_budget(services.store, organization, budget_id)
    rule = BudgetRule(budget_id, stored.version + 1, _checked(terms))
    await _commit(services, "change_budget_rule", organization, actor, rule)
    return await get_budget(services.store, organization, budget_id)


async def delete_budget(services: Services, organization: int, actor: str, budget_id: str) -> None:
    """The rule says nothing any more; what was spent stays counted. Raises NotFoundError, ConflictError."""
    stored = await get_budget(services.store, organization, budget_id)
    rule = BudgetRule(budget_id, stored.version + 1, stored.rule.terms)
    await _commit(services, "delete_budget_rule", organization, actor, rule)


def _checked(terms: BudgetTerms) -> BudgetTerms:
    if terms.scope is BudgetScope.ORGANIZATION and terms.scope_id is not None:
        raise ValidationFailedError(
            "A rule of the scope org is about the whole organization: leave scopeId out.",
            fields={"scopeId": "is not for the scope org"},
        )
    return terms


async def _commit(services: Services, statement: str, organization: int, actor: str, rule: BudgetRule) -> None:
    now_us = services.clock.now_us()
    row: Parameters = {
        "id": rule.id,
        "organization": organization,
        "version": rule.version,
        "terms": msgspec.json.encode(rule.terms).decode(),
        "now_us": now_us,
    }
    details = Budget(
        action=DELETED if statement == "delete_budget_rule" else rule.terms.action,
        budget=rule.id,
        cap_nano_usd=cap_of(rule),
        window=rule.terms.window,
    )
    write = Write(
        charges=[Call(statement, row)],
        calls=[Call("policies_changed", {"organization": organization})],
        events=[NewEvent(organization, Event(Kind.BUDGET_CHANGED, now_us, actor, f"budget:{rule.id}", details))],
    )
    try:
        await services.store.commit(write)
    except StaleError as error:
        raise ConflictError("This budget rule was changed by somebody else meanwhile. Read it again.") from error
