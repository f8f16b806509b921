"""An organization's policies as decisions need them: compiled, remembered, never stale unnoticed."""

from typing import NamedTuple

from msgspec import Struct

from execlave_server.actions.read_budgets import list_budgets
from execlave_server.errors import NotFoundError
from execlave_server.model.policies import Policy, parse_policy
from execlave_server.model.policy_rules import BudgetCapRule, CostLimitRule
from execlave_server.policy.budgets import CompiledBudgets
from execlave_server.policy.engine import CompiledPolicies, compile_policies
from execlave_server.store.protocol import Check, Store, find_one, integer

ORGANIZATIONS_REMEMBERED = 1_000
_COUNT_MONEY = (BudgetCapRule, CostLimitRule)


class StoredPolicy(Struct, frozen=True):
    """A policy as stored. `body` is its JSON without id and version."""

    id: str
    version: int
    body: str
    created_at_us: int
    updated_at_us: int

    @property
    def policy(self) -> Policy:
        """The policy itself."""
        return parse_policy(self.body.encode(), self.id, self.version)


class StoredVersion(Struct, frozen=True):
    """One version that a policy had. `change` is created, changed or deleted."""

    id: str
    version: int
    change: str
    body: str
    changed_by: str
    changed_at_us: int


class Policies(NamedTuple):
    """The policies and budget rules that held when `version` was read. `reserve` is true where any counts money."""

    organization: int
    version: int
    compiled: CompiledPolicies
    budgets: CompiledBudgets = CompiledBudgets()
    reserve: bool = False

    @property
    def check(self) -> Check:
        """Holds while they are as they were read."""
        return Check("policies_standing", {"organization": self.organization}, (self.version,))


class PolicyBook:
    """Compiles each organization's policies once a version.

    What is remembered may be old: whoever commits what was decided on it also commits its check, and asks again, fresh,
    when that does not hold.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, Policies] = {}

    def remembered(self, organization: int) -> Policies | None:
        """What was read last, for when the store cannot be asked."""
        return self._known.get(organization)

    async def of(self, organization: int, *, fresh: bool = False) -> Policies:
        """The policies of an organization."""
        known = self._known.get(organization)
        if known and not fresh:
            return known
        version = integer((await self._store.rows("policies_standing", {"organization": organization}))[0][0])
        if known and known.version == version:
            return known
        stored = await list_policies(self._store, organization)  # a change in between shows in the check
        budgets = CompiledBudgets(each.rule for each in await list_budgets(self._store, organization))
        if len(self._known) >= ORGANIZATIONS_REMEMBERED:
            self._known.clear()
        found = [each.policy for each in stored]
        reserve = bool(budgets) or any(isinstance(policy.rule_definition, _COUNT_MONEY) for policy in found)
        policies = Policies(organization, version, compile_policies(found), budgets, reserve)
        self._known[organization] = policies
        return policies


async def list_policies(store: Store, organization: int) -> list[StoredPolicy]:
    """Every policy that is not deleted, by name."""
    return await store.find(StoredPolicy, "live_policies", {"organization": organization})


async def get_policy(store: Store, organization: int, policy_id: str) -> StoredPolicy:
    """One policy. Raises NotFoundError."""
    found = await find_one(store, StoredPolicy, "find_policy", {"organization": organization, "id": policy_id})
    if found is None:
        raise NotFoundError(f"There is no policy {policy_id!r} in this organization.")
    return found


async def list_versions(store: Store, organization: int, policy_id: str) -> list[StoredVersion]:
    """Every version a policy had, the newest first, also of one that was deleted. Raises NotFoundError."""
    found = await store.find(StoredVersion, "policy_versions", {"organization": organization, "id": policy_id})
    if not found:
        raise NotFoundError(f"There is no policy {policy_id!r} in this organization.")
    return found
