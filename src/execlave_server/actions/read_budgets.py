"""Budget rules as they are stored."""

import msgspec
from msgspec import Struct

from execlave_server.errors import NotFoundError
from execlave_server.model.budgets import BudgetRule, BudgetTerms
from execlave_server.store.protocol import Store, find_one

_terms = msgspec.json.Decoder(BudgetTerms)


class StoredBudget(Struct, frozen=True):
    """A budget rule as stored. `terms` is its JSON."""

    id: str
    version: int
    terms: str
    created_at_us: int
    updated_at_us: int

    @property
    def rule(self) -> BudgetRule:
        """The rule itself."""
        return BudgetRule(self.id, self.version, _terms.decode(self.terms))


async def list_budgets(store: Store, organization: int) -> list[StoredBudget]:
    """Every budget rule, the oldest first."""
    return await store.find(StoredBudget, "live_budget_rules", {"organization": organization})


async def get_budget(store: Store, organization: int, budget_id: str) -> StoredBudget:
    """One budget rule. Raises NotFoundError."""
    found = await find_one(store, StoredBudget, "find_budget_rule", {"organization": organization, "id": budget_id})
    if found is None:
        raise NotFoundError(f"There is no budget rule {budget_id!r} in this organization.")
    return found
