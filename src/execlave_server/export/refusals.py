"""The single logs that a destination refused one after the other; past some number the way is at fault, not they."""

from execlave_server.actions.requeue_log import requeue_log
from execlave_server.clock import Clock
from execlave_server.errors import ConflictError
from execlave_server.store.protocol import Parameters, Store, integer

REFUSED_IN_A_ROW_MAX = 20  # single logs: past this it is not the logs, it is something that stands before the intake


class Refusals:
    """The logs parked since one was last accepted; marked on disk too, for the successor of a worker that is killed."""

    def __init__(self, store: Store, clock: Clock, destination: int) -> None:
        self._store = store
        self._clock = clock
        self._destination = destination
        self._places: list[Parameters] = []
        self._is_recalled = False

    def __bool__(self) -> bool:
        return bool(self._places)

    @property
    def are_too_many(self) -> bool:
        """True when the logs cannot be what is wrong."""
        return len(self._places) >= REFUSED_IN_A_ROW_MAX

    def add(self, batch: int, position: int) -> None:
        """One more was refused, with none accepted in between."""
        self._places.append({"destination": self._destination, "batch": batch, "position": position})

    def clear(self) -> None:
        """One was accepted: those before it were refused for what they are."""
        self._places.clear()

    async def recall(self) -> None:
        """Take up what a predecessor left, once."""
        if self._is_recalled:
            return
        rows = await self._store.rows("provisionally_parked", {"destination": self._destination})
        places: list[Parameters] = [
            {"destination": self._destination, "batch": batch, "position": position} for batch, position in rows
        ]
        self._places = places + self._places
        self._is_recalled = True

    async def requeue(self) -> None:
        """They wait for delivery again; one whose batch is still in somebody's hands stays, to be tried once more."""
        for _ in range(len(self._places)):
            place = self._places[0]
            batch: Parameters = {"destination": self._destination, "batch": place["batch"]}
            try:
                await requeue_log(self._store, batch, integer(place["position"]), self._clock.now_us())
            except ConflictError:
                self._places.append(place)
            del self._places[0]
