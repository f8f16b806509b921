"""What the rest of the product asks of a database.

Invariants every engine keeps, proved by the one contract suite in `tests/contract`:

* A `Write` is all or nothing. When `commit` returns, it is on disk (the worker's own store may choose less).
* Writes that wait together are committed together; a write that fails fails alone.
* The checks of a write are read inside its transaction. When one does not hold, nothing of that write happens.
* Each trace ends in exactly one `TraceOutcome`, and (organization, trace id, span id) is stored once.
* The traces of one organization in one commit become batches within the limits of `model.traces`, and each batch
  gets one outbox row for each destination that collects, in the same transaction.
* Traces and decisions are leaves of their batch's Merkle tree. Its root, and every event, is an entry of the
  organization's audit chain, in the same transaction.
* The events that are streamed become a batch of their own in that transaction, for the destinations that take events;
  none where the organization has no such destination, disabled ones included.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias, TypeVar

from msgspec import Struct

from execlave_server.audit.chain import Event
from execlave_server.audit.event_logs import EventContext
from execlave_server.errors import ConflictError
from execlave_server.model.traces import NewTrace, TraceOutcome

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Value, ...]
Parameters: TypeAlias = Mapping[str, Value]
RowType = TypeVar("RowType", bound=Struct)
NO_CONTEXT = EventContext()


@dataclass(frozen=True, slots=True)
class Call:
    """One named statement of `store/sql` with its parameters."""

    statement: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """A statement whose first row must be `expected` (None: no row), read inside the transaction."""

    statement: str
    parameters: Parameters
    expected: Row | None


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces of one organization to append to its next batch."""

    organization: int
    items: Sequence[NewTrace]


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision to record: what `insert_decision` takes but for its place in a batch, and its leaf hash."""

    organization: int
    row: Parameters
    leaf: bytes

    @property
    def is_plain_allow(self) -> bool:
        """True where nothing had a say: the batch's root is then all that the chain has of it."""
        return self.row["outcome"] == "allowed" and self.row["policies"] == "[]"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something to append to an organization's audit chain; `context` is for its log, where it is streamed."""

    organization: int
    event: Event
    context: EventContext = NO_CONTEXT


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """An event of what one call of the same write changes: no row returned, no change, no event."""

    organization: int
    call: int  # its place among the calls
    make: Callable[[Row], Event]  # from the first row it returned


@dataclass(frozen=True, slots=True)
class Telling:
    """An event that is appended only where its statement returns a row, as one that marks what was not marked yet."""

    mark: Call
    event: NewEvent


@dataclass(frozen=True, slots=True)
class Write:
    """Everything one request commits.

    `checks` only read. `charges` are statements that must each return a row, like a budget that has room; where one
    does not, nothing of the write happens, as with a check. `settle` gives the statements that follow from what became
    of each trace, such as its cost, which a duplicate must not bring twice; it is pure and may be asked again.
    """

    checks: Sequence[Check] = ()
    charges: Sequence[Call] = ()
    calls: Sequence[Call] = ()
    traces: Traces | None = None
    settle: Callable[[Sequence[TraceOutcome]], Sequence[Call]] | None = None
    decision: NewDecision | None = None
    events: Sequence[NewEvent | ChangeEvent] = ()
    tellings: Sequence[Telling] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What a committed write returned: the rows of each call, and the outcome of each trace."""

    rows: Sequence[Sequence[Row]]
    outcomes: Sequence[TraceOutcome]


class Durability(Enum):
    """When a commit is on disk: at its return (FULL), or moments later (NORMAL), in order but not waited for.

    The server's is FULL. The worker's is NORMAL: losing its last result repeats a delivery, it never loses one.
    """

    FULL = "full"
    NORMAL = "normal"


class StaleError(ConflictError):
    """What a write was decided on has changed meanwhile; decide again on fresh facts."""

    code = "STALE"


class Store(Protocol):
    """A database with the schema of `store/migrations`."""

    async def rows(self, statement: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of a reading statement, as plain tuples."""

    async def find(
        self, row_type: type[RowType], statement: str, parameters: Parameters | None = None
    ) -> list[RowType]:
        """The rows of a reading statement, by column name, as structs."""

    async def commit(self, write: Write) -> Written:
        """Commit a write.

        Raises StaleError when a check or a charge does not hold, UnavailableError when the database cannot commit now.
        """

    async def close(self) -> None:
        """Finish what waits and let go of the database."""


def integer(value: Value) -> int:
    """A column that the schema says is an integer, as one."""
    if not isinstance(value, int):
        raise TypeError(f"expected an integer column, got {type(value).__name__}")
    return value


async def find_one(store: Store, row_type: type[RowType], statement: str, parameters: Parameters) -> RowType | None:
    """The only row of a reading statement, or None."""
    found = await store.find(row_type, statement, parameters)
    return found[0] if found else None
