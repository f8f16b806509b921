"""Budget rules: how much money may be spent in a window, by whom, and what happens when it is used up."""

from enum import StrEnum
from hashlib import blake2b
from typing import Annotated

from msgspec import Meta, Struct

from execlave_server.model.policy_rules import Name, Usd, Window

BUDGET_RULES_MAX = 2_000  # of one organization: each is read into every process
WARN_PERCENT_DEFAULT = 80
_DIGEST_BYTES = 16


class BudgetScope(StrEnum):
    """Whose spending a rule counts together."""

    ORGANIZATION = "org"
    AGENT = "agent"
    USER = "user"
    WORKSPACE = "workspace"


class BudgetAction(StrEnum):
    """What a used up budget does to the next action."""

    WARN = "warn"
    BLOCK = "block"
    PAUSE_AGENT = "pause_agent"

    @property
    def blocks(self) -> bool:
        """True where the cap is never passed."""
        return self is not BudgetAction.WARN


class BudgetTerms(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A rule as the platform prints it. No `scope_id` means each agent, user or workspace for itself."""

    scope: BudgetScope
    scope_id: Name | None = None
    window: Window
    cap_usd: Usd
    action: BudgetAction
    warning_threshold_pct: Annotated[float, Meta(gt=0, le=100)] = WARN_PERCENT_DEFAULT
    burn_rate_alert_enabled: bool = False


class BudgetRule(Struct, frozen=True):
    """One version of a rule."""

    id: str
    version: int
    terms: BudgetTerms


class Payer(Struct, frozen=True):
    """Whose money an action spends. `agent` is its UUID, or the name it used where it is not registered."""

    agent: str
    agent_id: str
    user: str | None = None
    workspace: str | None = None

    def names(self, scope: BudgetScope) -> tuple[str, ...]:
        """What a rule's `scope_id` may call it; nothing where the action has no such payer."""
        match scope:
            case BudgetScope.ORGANIZATION:
                return ()
            case BudgetScope.AGENT:
                return (self.agent, self.agent_id)
            case BudgetScope.USER:
                return () if self.user is None else (self.user,)
            case BudgetScope.WORKSPACE:
                return () if self.workspace is None else (self.workspace,)

    def place(self, scope: BudgetScope) -> str:
        """Its part in a meter's name. People are digests there, as they are nobody's business in a list of meters."""
        match scope:
            case BudgetScope.ORGANIZATION:
                return ""
            case BudgetScope.AGENT:
                return self.agent
            case BudgetScope.USER:
                return _digest(self.user or "")
            case BudgetScope.WORKSPACE:
                return _digest(self.workspace or "")


def payer_name(value: object) -> str | None:
    """A user's or workspace's id in somebody's metadata, or None."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)


def _digest(name: str) -> str:
    return blake2b(name.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
