"""What decisions reserved and no trace has claimed is given back; meters of windows long past are forgotten."""

from execlave_server.actions.meter import Reservation, release
from execlave_server.clock import Clock
from execlave_server.store.protocol import Call, Store, Write

LAPSED_PER_COMMIT = 100  # a commit that counts keeps others of the organization from counting


async def lapse_reservations(store: Store, clock: Clock) -> int:
    """Give back all that has lapsed by now; how many reservations it was."""
    lapsed, now_us = 0, clock.now_us()
    while found := await store.find(Reservation, "lapsed_reservations", {"now_us": now_us, "limit": LAPSED_PER_COMMIT}):
        await store.commit(Write(calls=[call for reservation in found for call in release(reservation)]))
        lapsed += len(found)
    if await store.rows("expired_meters", {"now_us": now_us}):
        await store.commit(Write(calls=[Call("forget_meters", {"now_us": now_us})]))
    return lapsed
