"""What limits count and budgets spend: one meter for each window, charged in the decision's own transaction.

A decision reserves its estimated cost. The trace's cost replaces the reservation; one that no trace claims lapses.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from execlave_server.audit.canonical import NANO
from execlave_server.model.policy_rules import Scope, Window
from execlave_server.policy.action import Counter, Spend
from execlave_server.store.protocol import Call, Parameters, Store, integer

RESERVATION_US = 600_000_000  # an action that ran has reported its cost by then
NO_CAP = (1 << 62) - 1
RESERVATIONS_LOOKED_AT = 100  # of an agent, the oldest: as many as one request can bring traces for
LAPSED_PER_STEP = 500
_WINDOW_US = {Window.MINUTE: 60_000_000, Window.HOUR: 3_600_000_000, Window.DAY: 86_400_000_000}


class Reservation(Struct, frozen=True):
    """What a decision set aside, in billionths of a US dollar. `meters` is the JSON list of those that hold it."""

    id: str
    organization: int
    agent: str
    trace_id: str | None
    amount: int
    meters: str


class Meter(Struct, frozen=True):
    """One meter in the window that holds now."""

    name: str
    expires_at_us: int


def spend_meter(spend: Spend, agent: str, now_us: int) -> Meter:
    """Where the money of a scope and window is counted."""
    of = "" if spend.scope is Scope.ORGANIZATION else agent
    return _meter(f"spend:{spend.scope}:{of}:{spend.window}", spend.window, now_us)


def count_meter(counter: Counter, agent: str, now_us: int) -> Meter:
    """Where a policy counts."""
    of = "" if counter.scope is Scope.ORGANIZATION else agent
    return _meter(f"count:{counter.policy_id}:{of}:{counter.window}", counter.window, now_us)


def spend_meters(agent: str, now_us: int) -> list[Meter]:
    """Every meter that an agent's spending counts in."""
    return [spend_meter(Spend(scope, window), agent, now_us) for scope in Scope for window in Window]


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


def reserve(kept: Reservation, now_us: int) -> Call:
    """Remember what a decision reserved, and where."""
    row: Parameters = {**msgspec.structs.asdict(kept), "lapses_at_us": now_us + RESERVATION_US}
    return Call("insert_reservation", row)


def spend(organization: int, meter: Meter, amount: int) -> Call:
    """Money that is gone: counted whether a cap leaves room or not."""
    row: Parameters = {
        "organization": organization,
        "meter": meter.name,
        "used": amount,
        "expires_at_us": meter.expires_at_us,
    }
    return Call("spend_meter", row)


def release(reservation: Reservation) -> list[Call]:
    """Give a reservation back, once: the second time finds it gone and changes nothing."""
    meters = sorted(msgspec.json.decode(reservation.meters, type=list[str]))
    place: Parameters = {"organization": reservation.organization, "id": reservation.id, "amount": reservation.amount}
    released = [Call("release_meter", {**place, "meter": meter}) for meter in meters]
    return [*released, Call("delete_reservation", {"id": reservation.id})]


def _meter(name: str, window: Window, now_us: int) -> Meter:
    if window is Window.MONTH:
        now = datetime.fromtimestamp(now_us / 1e6, UTC)
        following = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
        return Meter(f"{name}:{now:%Y-%m}", int(following.timestamp()) * 1_000_000 + RESERVATION_US)
    length_us = _WINDOW_US[window]
    number = now_us // length_us
    return Meter(f"{name}:{number}", (number + 1) * length_us + RESERVATION_US)


def nano(usd: float) -> int:
    """US dollars as billionths, within what a meter holds."""
    return min(max(round(usd * NANO), 0), NO_CAP // 4) if usd < NO_CAP / NANO else NO_CAP // 4
