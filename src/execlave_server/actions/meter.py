"""What limits count and budgets spend: one meter for each window, charged in the decision's own transaction.

A decision reserves its estimated cost. The trace's cost replaces the reservation; one that no trace claims lapses.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from execlave_server.audit.canonical import NANO
from execlave_server.model.approvals import APPROVAL_LIFE_US, CERTIFICATE_LIFE_US
from execlave_server.model.budgets import BudgetRule, BudgetScope, Payer
from execlave_server.model.policy_rules import Scope, Window
from execlave_server.policy.action import Counter, Spend
from execlave_server.store.protocol import Call, Parameters, Store, integer

RESERVATION_US = 600_000_000  # an action that ran has reported its cost by then
APPROVAL_RESERVATION_US = APPROVAL_LIFE_US + CERTIFICATE_LIFE_US + RESERVATION_US  # as late as an approved one may
NO_CAP = (1 << 62) - 1
SPENT_MAX = NO_CAP // 4  # beyond a billion dollars a meter stands still, so that no sum overflows
_ALWAYS = (BudgetScope.ORGANIZATION, BudgetScope.AGENT)
_MINUTE_US = 60_000_000
_DAY_US = 86_400_000_000
_LOOKED_BACK_US = {  # what the pages show of the past: a day by the hour, a month by the day
    (BudgetScope.ORGANIZATION, Window.HOUR): 2 * _DAY_US,
    (BudgetScope.ORGANIZATION, Window.DAY): 35 * _DAY_US,
    (BudgetScope.AGENT, Window.DAY): 35 * _DAY_US,
}
_WINDOW_US = {Window.MINUTE: _MINUTE_US, Window.HOUR: 3_600_000_000, Window.DAY: _DAY_US}


class Reservation(Struct, frozen=True):
    """What a decision set aside, in billionths of a US dollar. `meters` is the JSON list of those that hold it."""

    id: str
    organization: int
    agent: str
    trace_id: str | None
    amount: int
    meters: str


class Meter(Struct, frozen=True):
    """One meter in one window, and how long it is kept after that."""

    name: str
    starts_at_us: int
    ends_at_us: int
    kept_us: int = APPROVAL_RESERVATION_US

    @property
    def expires_at_us(self) -> int:
        """When nothing that counts in it can come back any more, and nobody looks back at it."""
        return self.ends_at_us + self.kept_us


def money_meter(scope: BudgetScope, place: str, window: Window, now_us: int) -> Meter:
    """Where money is counted; `place` is the payer's."""
    meter = _meter(f"spend:{scope}:{place}:{window}", window, now_us)
    kept_us = _LOOKED_BACK_US.get((scope, window))
    return meter if kept_us is None else replace(meter, kept_us=kept_us)


def past_meters(scope: BudgetScope, place: str, window: Window, count: int, now_us: int) -> list[Meter]:
    """The meters of the newest `count` windows, minutes, hours or days, the oldest first and the present one last."""
    length_us = _WINDOW_US[window]
    return [money_meter(scope, place, window, now_us - back * length_us) for back in range(count - 1, -1, -1)]


def money_meters(payer: Payer, rules: Iterable[BudgetRule], now_us: int) -> dict[str, Meter]:
    """Every meter that a payer's spending counts in, by name: of users and workspaces only those that a rule reads."""
    wanted = [(scope, window) for scope in _ALWAYS for window in Window]
    wanted += [(rule.terms.scope, rule.terms.window) for rule in rules if rule.terms.scope not in _ALWAYS]
    meters = (money_meter(scope, payer.place(scope), window, now_us) for scope, window in dict.fromkeys(wanted))
    return {meter.name: meter for meter in meters}


def mark_meter(rule: BudgetRule, payer: Payer, mark: str, now_us: int) -> Meter:
    """Holds 1 once something was told of a budget in this window."""
    place = payer.place(rule.terms.scope)
    return _meter(f"told:{mark}:{rule.id}:{rule.version}:{place}", rule.terms.window, now_us)


def spend_meter(spend: Spend, agent: str, now_us: int) -> Meter:
    """Where the money of a scope and window is counted."""
    of = "" if spend.scope is Scope.ORGANIZATION else agent
    return money_meter(BudgetScope(spend.scope), of, spend.window, now_us)


def count_meter(counter: Counter, agent: str, now_us: int) -> Meter:
    """Where a policy counts."""
    of = "" if counter.scope is Scope.ORGANIZATION else agent
    return _meter(f"count:{counter.policy_id}:{of}:{counter.window}", counter.window, now_us)


async def read_meters(store: Store, organization: int, meters: Iterable[Meter]) -> dict[str, int]:
    """What each has, used and reserved together; one that was never charged has 0."""
    names = [meter.name for meter in meters]
    if not names:
        return {}
    wanted: Parameters = {"organization": organization, "meters": msgspec.json.encode(names).decode()}
    found = {str(name): integer(value) for name, value in await store.rows("read_meters", wanted)}
    return {name: found.get(name, 0) for name in names}


def charge(organization: int, meter: Meter, *, used: int = 0, reserved: int = 0, cap: int = NO_CAP) -> Call:
    """Count in a meter, where its cap leaves room."""
    row: Parameters = {
        "organization": organization,
        "meter": meter.name,
        "used": used,
        "reserved": reserved,
        "cap": cap,
        "expires_at_us": meter.expires_at_us,
    }
    return Call("charge_meter", row)


def mark(organization: int, meter: Meter, *, of: Meter, threshold: int) -> Call:
    """Set a mark that is not set yet, once another meter has reached a threshold."""
    row: Parameters = {
        "organization": organization,
        "meter": meter.name,
        "of": of.name,
        "threshold": threshold,
        "expires_at_us": meter.expires_at_us,
    }
    return Call("mark_meter", row)


def reserve(kept: Reservation, now_us: int, approval: str | None = None) -> Call:
    """Remember what a decision reserved, and where.

    While it waits for an approval only `free_reservation` lets a trace claim it that does not name its decision.
    """
    lasts_us = RESERVATION_US if approval is None else APPROVAL_RESERVATION_US
    row: Parameters = {**msgspec.structs.asdict(kept), "approval": approval, "lapses_at_us": now_us + lasts_us}
    return Call("insert_reservation", row)


def free_reservation(organization: int, decision: str, now_us: int) -> Call:
    """What an approved action reserved is any trace's of it from now on, since it may run now, and lapses as usual."""
    row: Parameters = {"organization": organization, "id": decision, "lapses_at_us": now_us + RESERVATION_US}
    return Call("free_reservation", row)


def add(organization: int, amounts: Mapping[Meter, int], *, reserved: bool = False) -> Call:
    """Count money whether a cap leaves room or not: it is gone, or nothing caps these meters."""
    rows = [
        (meter.name, 0 if reserved else amount, amount if reserved else 0, meter.expires_at_us)
        for meter, amount in amounts.items()
    ]
    row: Parameters = {"organization": organization, "rows": msgspec.json.encode(rows).decode(), "most": SPENT_MAX}
    return Call("add_to_meters", row)


def release(reservation: Reservation) -> list[Call]:
    """Give a reservation back, once: the second time finds it gone and changes nothing."""
    place: Parameters = {"organization": reservation.organization, "id": reservation.id}
    held: Parameters = {**place, "amount": reservation.amount, "meters": reservation.meters}
    return [Call("release_meters", held), Call("delete_reservation", place)]


def _meter(name: str, window: Window, now_us: int) -> Meter:
    label, starts_at_us, ends_at_us = _span(window, now_us // _MINUTE_US)
    return Meter(f"{name}:{label}", starts_at_us, ends_at_us)


@lru_cache(maxsize=64)
def _span(window: Window, minute: int) -> tuple[str, int, int]:
    """The name, start and end of the window that a minute lies in."""
    now_us = minute * _MINUTE_US
    if window is Window.MONTH:
        now = datetime.fromtimestamp(now_us // 1_000_000, UTC)
        first = datetime(now.year, now.month, 1, tzinfo=UTC)
        following = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
        return f"{now:%Y-%m}", int(first.timestamp()) * 1_000_000, int(following.timestamp()) * 1_000_000
    length_us = _WINDOW_US[window]
    number = now_us // length_us
    return str(number), number * length_us, (number + 1) * length_us


def nano(usd: float) -> int:
    """US dollars as billionths, within what a meter holds."""
    return min(max(round(usd * NANO), 0), SPENT_MAX) if usd < NO_CAP / NANO else SPENT_MAX
