"""How far a budget is used up."""

from msgspec import Struct

from execlave_server.actions.meter import Meter, money_meter
from execlave_server.actions.services import Services
from execlave_server.errors import NotFoundError, ValidationFailedError
from execlave_server.model.budgets import BudgetRule, BudgetScope, Payer
from execlave_server.model.people import Caller
from execlave_server.policy.budgets import cap_of
from execlave_server.store.protocol import integer


class Usage(Struct, frozen=True):
    """What is used of a budget in the window that holds now, in billionths of a US dollar."""

    used: int
    reserved: int
    cap: int
    meter: Meter

    @property
    def remaining(self) -> int:
        """What may still be spent."""
        return max(self.cap - self.used - self.reserved, 0)


async def read_usage(services: Services, key: Caller, rule: BudgetRule, whose: str | None) -> Usage | None:
    """How far a budget is used up; None for a rule about each payer for itself, while none is named.

    Raises ValidationFailedError where somebody is named whom the rule is not about.
    """
    scope, said = rule.terms.scope, rule.terms.scope_id
    if whose is not None and (scope is BudgetScope.ORGANIZATION or said not in {None, whose}):
        raise ValidationFailedError(f"This rule is not about {whose!r}.", fields={"scopeId": "is not the rule's"})
    name = said or whose
    if name is None and scope is not BudgetScope.ORGANIZATION:
        return None
    payer = await _payer(services, key, scope, name or "")
    meter = money_meter(scope, payer.place(scope), rule.terms.window, services.clock.now_us())
    rows = await services.store.rows("read_meter", {"organization": key.organization, "meter": meter.name})
    used, reserved = (integer(value) for value in rows[0]) if rows else (0, 0)
    return Usage(used, reserved, cap_of(rule), meter)


async def _payer(services: Services, key: Caller, scope: BudgetScope, name: str) -> Payer:
    agent = name
    if scope is BudgetScope.AGENT:
        try:
            agent = (await services.agents.find_fresh(key, name)).id
        except NotFoundError:
            agent = name  # one that never registered is counted under the name it uses
    return Payer(agent, name, name, name)
