"""Make one parked log wait again: what a person asks for, and what a held destination does by itself."""

from msgspec import Struct

from execlave_server.errors import ConflictError
from execlave_server.store.protocol import Call, Check, Parameters, StaleError, Store, Write, find_one

TRY_AGAIN_MAX = 5


class LedgerState(Struct, frozen=True):
    """The outbox row a parked log belongs to."""

    fence: int
    log_count: int
    parked_count: int
    settled: bytes | None
    leased_at_us: int | None


async def requeue_log(store: Store, place: Parameters, position: int, now_us: int) -> None:
    """Make one parked log of an outbox row wait again. Raises ConflictError while the row is being sent."""
    for _ in range(TRY_AGAIN_MAX):
        ledger = await find_one(store, LedgerState, "ledger_state", place)
        parked: Parameters = {**place, "position": position}
        if not await store.rows("is_parked", parked):
            return  # somebody else has requeued it
        if ledger is None or ledger.leased_at_us is not None:
            break
        whole = (1 << ledger.log_count) - 1
        settled = int.from_bytes(ledger.settled, "little") if ledger.settled else whole
        open_bits = settled & ~(1 << position)
        reopened: Parameters = {
            **place,
            "parked": ledger.parked_count - 1,
            "settled": open_bits.to_bytes((ledger.log_count + 7) // 8, "little"),
            "now_us": now_us,
        }
        unchanged = Check("ledger_unchanged", place, (ledger.fence, ledger.parked_count, ledger.settled))
        still = Check("is_parked", parked, (1,))
        delete = Call("delete_parked_at", parked)
        try:
            await store.commit(Write(checks=[unchanged, still], calls=[delete, Call("reopen_ledger", reopened)]))
        except StaleError:
            continue
        return
    raise ConflictError("The batch of this log is being sent just now. Try again in a moment.")
