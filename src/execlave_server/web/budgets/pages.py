"""Budgets: the rules, how far each is used up, and their forms."""

from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from execlave_server.actions.edit_budget import change_budget, create_budget, delete_budget
from execlave_server.actions.read_budget_usage import Usage, read_usage
from execlave_server.actions.read_budgets import StoredBudget, get_budget, list_budgets
from execlave_server.errors import ConflictError, ExeclaveServerError, ValidationFailedError
from execlave_server.model.budgets import WARN_PERCENT_DEFAULT, BudgetAction, BudgetScope, BudgetTerms
from execlave_server.model.permissions import Permission
from execlave_server.model.policy_rules import Window
from execlave_server.web.exchange import Form, Page, PageRoute

LIST = "/budgets"
_SCOPES = {
    BudgetScope.ORGANIZATION: "the whole organization",
    BudgetScope.AGENT: "an agent",
    BudgetScope.USER: "a user",
    BudgetScope.WORKSPACE: "a workspace",
}
_WINDOWS = {Window.MINUTE: "a minute", Window.HOUR: "an hour", Window.DAY: "a day", Window.MONTH: "a month"}
_ACTIONS = {
    BudgetAction.WARN: "warn",
    BudgetAction.BLOCK: "block what would pass it",
    BudgetAction.PAUSE_AGENT: "block, and pause the agent",
}
_FIELDS = ("scope", "scopeId", "window", "capUsd", "action", "warningThresholdPct")


class Shown(NamedTuple):
    """A rule, and how far it is used up; None where it is about each payer for itself."""

    budget: StoredBudget
    terms: BudgetTerms
    whose: str
    window: str
    usage: Usage | None


async def show_budgets(page: Page) -> Response:
    """Every rule."""
    budgets = await list_budgets(page.services.store, page.organization.number)
    shown = [
        Shown(
            budget,
            budget.rule.terms,
            _whose(budget.rule.terms),
            _WINDOWS[budget.rule.terms.window],
            await read_usage(page.services, page.person, budget.rule, None),
        )
        for budget in budgets
    ]
    return page.render("budgets/list.html", budgets=shown, actions=_ACTIONS)


async def show_new(page: Page) -> Response:
    """The form of a new rule."""
    return _show_form(page, None)


async def post_new(page: Page) -> Response:
    """Make a rule."""
    try:
        await create_budget(page.services, page.organization.number, page.person.actor, _terms(page.form))
    except (ValidationFailedError, ConflictError) as error:
        return _show_form(page, None, error)
    return page.redirect(LIST, "The budget holds from the next decision on.")


async def show_edit(page: Page) -> Response:
    """The form of a rule that there is."""
    return _show_form(page, await get_budget(page.services.store, page.organization.number, page.path("id")))


async def post_edit(page: Page) -> Response:
    """The rule's next version."""
    budget = await get_budget(page.services.store, page.organization.number, page.path("id"))
    try:
        terms = _terms(page.form)
        await change_budget(page.services, page.organization.number, page.person.actor, budget.id, terms)
    except (ValidationFailedError, ConflictError) as error:
        return _show_form(page, budget, error)
    return page.redirect(LIST, "Saved. It holds from the next decision on.")


async def post_delete(page: Page) -> Response:
    """The rule says nothing any more."""
    await delete_budget(page.services, page.organization.number, page.person.actor, page.path("id"))
    return page.redirect(LIST, "Deleted. What was spent stays counted.")


def _whose(terms: BudgetTerms) -> str:
    if terms.scope is BudgetScope.ORGANIZATION:
        return _SCOPES[terms.scope]
    return f"{terms.scope} {terms.scope_id}" if terms.scope_id else f"each {terms.scope} for itself"


def _terms(form: Form) -> BudgetTerms:
    """What was typed. Raises ValidationFailedError naming every field that is wrong."""
    typed: dict[str, Any] = {name: form[name] for name in _FIELDS if form[name]}
    typed["burnRateAlertEnabled"] = "burnRateAlertEnabled" in form
    errors = {}
    for name in ("capUsd", "warningThresholdPct"):
        try:
            if name in typed:
                typed[name] = float(typed[name])
        except ValueError:
            errors[name] = "must be a number"
    if "capUsd" not in typed:
        errors["capUsd"] = "is required: how many US dollars"
    if not errors:
        try:
            return msgspec.convert(typed, BudgetTerms)
        except msgspec.ValidationError as error:
            text, _, place = str(error).partition(" - at `$.")
            errors[place.rstrip("`") or "capUsd"] = text
    raise ValidationFailedError("The budget is not right yet: see the fields below.", fields=errors)


def _show_form(page: Page, budget: StoredBudget | None, error: ExeclaveServerError | None = None) -> Response:
    terms = budget.rule.terms if budget else None
    return page.render(
        "budgets/form.html",
        error.status if error else 200,
        budget=budget,
        terms=terms,
        percent=terms.warning_threshold_pct if terms else WARN_PERCENT_DEFAULT,
        scopes=list(_SCOPES.items()),
        windows=list(_WINDOWS.items()),
        actions=list(_ACTIONS.items()),
        problem=error.message if error else None,
        errors=error.fields if isinstance(error, ValidationFailedError) else {},
    )


_READ, _EDIT = Permission.BUDGETS_READ, Permission.BUDGETS_EDIT
ROUTES = (
    PageRoute("GET", LIST, _READ, show_budgets, "budgets"),
    PageRoute("GET", f"{LIST}/new", _EDIT, show_new, "budgets"),
    PageRoute("POST", f"{LIST}/new", _EDIT, post_new, "budgets"),
    PageRoute("GET", f"{LIST}/{{id}}", _EDIT, show_edit, "budgets"),
    PageRoute("POST", f"{LIST}/{{id}}", _EDIT, post_edit, "budgets"),
    PageRoute("POST", f"{LIST}/{{id}}/delete", _EDIT, post_delete, "budgets"),
)
