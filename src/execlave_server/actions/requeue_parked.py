"""Parked logs, and the way back into the queue."""

from collections.abc import Sequence

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.errors import ConflictError, NotFoundError
from execlave_server.store.protocol import Call, Check, Parameters, StaleError, Store, Write, find_one

TRY_AGAIN_MAX = 5


class ParkedLog(Struct, frozen=True):
    """A log that a destination refused for good, as it was sent, with the answer."""

    id: int
    destination_id: str
    destination: int
    batch: int
    position: int
    reason: str
    status: int | None
    answer: str | None
    payload: bytes
    parked_at_us: int


class LedgerState(Struct, frozen=True):
    """The outbox row a parked log belongs to."""

    fence: int
    log_count: int
    parked_count: int
    settled: bytes | None
    leased_at_us: int | None


async def list_parked(
    services: Services, organization: int, *, destination_id: str | None, after: int, limit: int
) -> list[ParkedLog]:
    """A page of the parked logs, oldest first; `after` is the id of the last one seen."""
    wanted: Parameters = {
        "organization": organization,
        "destination_id": destination_id,
        "after": after,
        "limit": limit,
    }
    return await services.store.find(ParkedLog, "list_parked", wanted)


async def requeue_parked(services: Services, organization: int, parked_ids: Sequence[int]) -> int:
    """Make parked logs wait for delivery again; how many.

    Raises NotFoundError for an id that is not parked here, ConflictError while its batch is being sent.
    """
    for done, parked_id in enumerate(parked_ids):
        wanted: Parameters = {"organization": organization, "id": parked_id}
        parked = await find_one(services.store, ParkedLog, "find_parked", wanted)
        if parked is None:
            raise NotFoundError(f"There is no parked log {parked_id} in this organization; {done} were requeued.")
        place: Parameters = {"destination": parked.destination, "batch": parked.batch}
        await requeue_log(services.store, place, parked.position, services.clock.now_us())
    return len(parked_ids)


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
