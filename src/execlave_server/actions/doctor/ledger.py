"""The proof that nothing is lost: committed = delivered + waiting + parked, batch by batch. Pure.

A batch never changes and never moves between pages, and the facts of one page come from one statement, so they are of
one instant. What holds for each batch at some instant holds for their sum: the pages need no snapshot in common.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from execlave_server.actions.doctor.findings import Code, Finding, Severity, Standing, utc

CLOCK_STEP_US = 5_000_000  # batches commit in order; the clocks of two servers on PostgreSQL may differ by a little
ROWS_NAMED_MAX = 20  # of the traces missing in one batch


class LedgerRow(Struct, frozen=True):
    """A batch, and what one destination's ledger says of it; without a destination nobody collects it.

    `traces` and `parked_rows` are counted from the rows themselves, the other numbers are what was written down.
    """

    batch: int
    organization: int
    received_at_us: int
    first_trace: int
    last_trace: int
    trace_count: int
    traces: int
    destination: int | None
    log_count: int | None
    accepted_count: int | None
    parked_count: int | None
    settled: bytes | None
    due_at_us: int | None
    delivered_at_us: int | None
    parked_rows: int


class LedgerCheck:
    """Takes the pages of ledger rows in order of their batches, and keeps each destination's sum."""

    def __init__(self, standings: Mapping[int, Standing], organizations: Mapping[int, str]) -> None:
        self.standings = standings
        self._organizations = organizations
        self.last_delivered_at_us: dict[int, int] = {}
        self.batches = 0
        self.newest_received: tuple[int, int] = (0, 0)  # (time, batch)
        self._stepped_back: tuple[int, int, int] | None = None  # (by how much, before which batch, at which batch)
        self._last_batch = 0

    def take(self, rows: Sequence[LedgerRow]) -> Iterator[Finding]:
        """Add a page; what is wrong in it."""
        for row in rows:
            if row.batch != self._last_batch:
                self._last_batch = row.batch
                self.batches += 1
                self._look_at_the_time(row)
                if row.destination is None and row.traces != row.trace_count:
                    yield self._traces_missing(row, None)
            standing = None if row.destination is None else self.standings.get(row.destination)
            if standing is not None:  # else it was added since
                yield from self._check(row, standing)

    def clock(self) -> Iterator[Finding]:
        """What the order of the batches says of the clock."""
        if self._stepped_back:
            by_us, before, at = self._stepped_back
            yield Finding(
                Code.CLOCK_STEPPED_BACK,
                Severity.WARNING,
                f"Batch {at} was committed after batch {before}, but its receive time is {by_us / 1e6:.0f} s earlier.",
                "Backfills, replays and retention go by the receive time: near that moment they take or leave the "
                "wrong batches.",
                "Let NTP slew the clock instead of stepping it. Choose wider times for a backfill around that moment.",
                batch=at,
            )

    def _look_at_the_time(self, row: LedgerRow) -> None:
        newest, batch = self.newest_received
        back_us = newest - row.received_at_us
        if back_us > max(CLOCK_STEP_US, self._stepped_back[0] if self._stepped_back else 0):
            self._stepped_back = back_us, batch, row.batch
        if back_us < 0:
            self.newest_received = row.received_at_us, row.batch

    def _check(self, row: LedgerRow, standing: Standing) -> Iterator[Finding]:
        standing.committed += row.traces
        if row.traces != row.trace_count:
            yield self._traces_missing(row, standing)
        if row.log_count is None or row.accepted_count is None or row.parked_count is None:
            yield _row_missing(row, standing)
            return
        waiting = row.log_count - row.accepted_count - row.parked_count
        standing.delivered += row.accepted_count
        standing.waiting += waiting
        standing.parked += row.parked_rows
        if row.delivered_at_us and row.destination is not None:
            newest = self.last_delivered_at_us.get(row.destination, 0)
            self.last_delivered_at_us[row.destination] = max(newest, row.delivered_at_us)
        yield from _check_counts(row, standing, waiting)

    def _traces_missing(self, row: LedgerRow, standing: Standing | None) -> Finding:
        missing, gone = row.trace_count - row.traces, "are gone" if row.traces < row.trace_count else "are too many"
        return Finding(
            Code.TRACE_MISSING,
            Severity.ERROR,
            f"Batch {row.batch} was committed with {row.trace_count} traces and has {row.traces}: "
            f"{abs(missing)} {gone}.",
            "A committed trace must never vanish; what was not yet delivered of it cannot be delivered any more.",
            "Restore the trace from a backup. Find out who deleted rows, and check the disk: doctor --deep.",
            organization=self._organizations.get(row.organization),
            destination=standing.id if standing else None,
            batch=row.batch,
        )


def name_missing(finding: Finding, first: int, last: int, present: Sequence[int]) -> Finding:
    """The finding of missing traces, with the rows that are gone by their numbers."""
    gone = sorted(set(range(first, last + 1)) - set(present))
    if not (gone and present):
        return finding
    named = ", ".join(f"{row_id} (log {row_id - first} of the batch)" for row_id in gone[:ROWS_NAMED_MAX])
    more = "" if len(gone) <= ROWS_NAMED_MAX else f" and {len(gone) - ROWS_NAMED_MAX} more"
    return _with(finding, what=f"{finding.what} Missing trace rows: {named}{more}.")


def _with(finding: Finding, *, what: str) -> Finding:
    return Finding(
        finding.code,
        finding.severity,
        what,
        finding.why,
        finding.remedy,
        finding.organization,
        finding.destination,
        finding.batch,
    )


def _row_missing(row: LedgerRow, standing: Standing) -> Finding:
    span = f"--from {utc(row.received_at_us)} --to {utc(row.received_at_us + 1)}"
    return _of_ledger(
        Code.LEDGER_ROW_MISSING,
        row,
        standing,
        f"Destination {standing.id} collected batch {row.batch} ({row.trace_count} logs), and its outbox row is gone.",
        "Nobody will deliver these logs, and whether they were delivered is not known any more.",
        remedy=f"Queue the batch again: execlave-server deliveries backfill --destination {standing.id} {span}",
    )


def _check_counts(row: LedgerRow, standing: Standing, waiting: int) -> Iterator[Finding]:
    assert row.log_count is not None
    assert row.accepted_count is not None
    assert row.parked_count is not None
    where = f"The outbox row of batch {row.batch} for destination {standing.id}"
    counts = f"{row.log_count} logs, {row.accepted_count} accepted, {row.parked_count} parked"
    if row.log_count != row.trace_count:
        yield _of_ledger(
            Code.LOG_COUNT_WRONG,
            row,
            standing,
            f"{where} counts {row.log_count} logs; the batch was committed with {row.trace_count}.",
            "The sum of what is delivered and what waits is wrong, and a log may be thought settled that is not.",
        )
    if row.parked_rows < row.parked_count:
        yield _of_ledger(
            Code.PARKED_LOG_MISSING,
            row,
            standing,
            f"{where} says that {row.parked_count} of its logs are parked; {row.parked_count - row.parked_rows} of "
            f"them {'is' if row.parked_count - row.parked_rows == 1 else 'are'} gone.",
            "A parked log was not delivered: with its row, Datadog's answer and the way back into the queue are lost.",
            remedy="Restore the row from a backup; or, once no log of the batch is parked, send the batch again: "
            f"execlave-server deliveries replay --destination {standing.id}",
        )
    if row.parked_rows > row.parked_count or waiting < 0 or min(row.accepted_count, row.parked_count) < 0:
        yield _of_ledger(
            Code.LEDGER_COUNTS_WRONG,
            row,
            standing,
            f"{where} contradicts itself: {counts}, and {row.parked_rows} logs in the parked table.",
            "What became of these logs cannot be told.",
        )
    elif (row.due_at_us is None) != (waiting == 0):
        yield _of_ledger(
            Code.LEDGER_STRANDED,
            row,
            standing,
            f"{where} is {'not due though logs of it wait' if waiting else 'due though no log of it waits'}: {counts}.",
            "Nothing will send what waits." if waiting else "It is leased again and again, and nothing is sent.",
        )
    elif not _bits_agree(row):
        yield _of_ledger(
            Code.SETTLED_BITS_WRONG,
            row,
            standing,
            f"{where} marks {_bits(row).bit_count()} logs as settled, but counts {counts}.",
            "By these marks the worker knows which logs to send: some would be sent twice, or never.",
        )


def _bits(row: LedgerRow) -> int:
    return int.from_bytes(row.settled or b"", "little")


def _bits_agree(row: LedgerRow) -> bool:
    """No marks mean none settled, or all accepted."""
    assert row.log_count is not None
    assert row.accepted_count is not None
    assert row.parked_count is not None
    settled = row.accepted_count + row.parked_count
    if row.settled is None:
        return settled == 0 or (row.accepted_count == row.log_count and row.due_at_us is None)
    bits = _bits(row)
    return bits.bit_count() == settled and bits.bit_length() <= row.log_count


_REPORT = "Keep a copy of the database and report this. To send the batch again: execlave-server deliveries replay"


def _of_ledger(
    code: Code, row: LedgerRow, standing: Standing, what: str, why: str, *, remedy: str = _REPORT
) -> Finding:
    return Finding(code, Severity.ERROR, what, why, remedy, standing.organization, standing.id, row.batch)


def batch_missing(standing: Standing, batch: int, log_count: int) -> Finding:
    """An outbox row whose batch is gone."""
    return Finding(
        Code.BATCH_MISSING,
        Severity.ERROR,
        f"Destination {standing.id} has an outbox row of {log_count} logs for batch {batch}, which is not there.",
        "What waits of it cannot be delivered any more.",
        "Restore the batch from a backup. Find out who deleted rows, and check the disk: doctor --deep.",
        standing.organization,
        standing.id,
        batch,
    )


def traces_without_batch(batch: int, count: int, first: int, last: int) -> Finding:
    """Traces whose batch is gone."""
    return Finding(
        Code.BATCH_MISSING,
        Severity.ERROR,
        f"{count} traces (rows {first} to {last}) belong to batch {batch}, and there is no such batch.",
        "They are stored, but will never be delivered, backfilled or swept.",
        "Restore the batch from a backup. Find out who deleted rows, and check the disk: doctor --deep.",
        batch=batch,
    )
