"""One destination's way out: lease due batches, pack, send, write down what became of each."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from execlave_server.clock import Clock
from execlave_server.datadog.answers import Answer, Failure, classify
from execlave_server.datadog.connection import REQUEST_TIMEOUT_S, DatadogConnector, Reply
from execlave_server.errors import UnavailableError
from execlave_server.export.frame import Frame
from execlave_server.export.payloads import Lease, compress_payload, group_leases, is_full, split_payload
from execlave_server.export.retries import backoff_us, told_wait_us
from execlave_server.model.destinations import Destination, DestinationState
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, Parameters, Row, Store, Write, integer

LINGER_US = 1_000_000  # a payload that is not full waits at most this long for more
IN_FLIGHT_MAX = 4  # requests under way at once; hides the round trip without flooding the intake
LEASE_US = 20_000_000  # twice the request's timeout: what is sent ends before its lease does
LEASED_LOGS_GOAL = 20_000  # what 100 ms of sending needs at the best rate measured
LEASED_ROWS_MAX = 2_000  # in one statement
TICK_S = 0.1  # results and leases go into one short transaction this often
IDLE_LOOK_S = 0.2  # how often an idle lane looks for due batches
STORE_PAUSE_S = 1.0  # before trying a store again that could not commit
ANSWER_CHARS_KEPT = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Ending:
    """How an attempt ended, in the terms of the ledger."""

    answer: Answer
    status: int | None = None
    text: str = ""
    wait_us: int = 0


class Lane:
    """Delivers to one destination. When it dies, what it holds comes again after the lease."""

    def __init__(
        self,
        store: Store,
        connector: DatadogConnector,
        clock: Clock,
        destination: Destination,
        *,
        key: Secret,
        public_url: str,
    ) -> None:
        self._store = store
        self._connector = connector
        self._clock = clock
        self.destination = destination
        self._key = key
        self._frame = Frame(destination, public_url)
        self._intake_url = connector.endpoints(destination.site).intake_url
        self._held = destination.state is DestinationState.HELD
        self._leased: deque[Lease] = deque()
        self._results: list[Call] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._wake = asyncio.Event()

    def stop(self) -> None:
        """Lease nothing more; `run` ends when what is under way has its answer."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        while not self._stopping:
            try:
                await self._tick()
            except UnavailableError as error:
                log.warning("export.store_unavailable", destination=self.destination.id, error=str(error))
                await self._sleep(STORE_PAUSE_S)
        if self._sending:
            await asyncio.wait(self._sending)
        self._release_leased()
        await self._write([])

    async def _tick(self) -> None:
        wanted = await self._wants_leases()
        await self._write([self._lease_call()] if wanted else [])
        self._drop_expired()
        self._start_sending()
        await self._sleep(TICK_S if self._sending or self._leased else IDLE_LOOK_S)

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _wants_leases(self) -> bool:
        if self._held or sum(lease.log_count for lease in self._leased) >= LEASED_LOGS_GOAL:
            return False
        due = {"destination": self.destination.number, "now_us": self._clock.now_us()}
        return bool(await self._store.rows("is_due", due))

    def _lease_call(self) -> Call:
        now_us = self._clock.now_us()
        parameters = {
            "destination": self.destination.number,
            "now_us": now_us,
            "lease_until_us": now_us + LEASE_US,
            "rows": LEASED_ROWS_MAX,
            "logs": LEASED_LOGS_GOAL,
        }
        return Call("lease_outbox", parameters)

    async def _write(self, leases: Sequence[Call]) -> None:
        """Write the results so far and take new leases, in one transaction."""
        results, self._results = self._results, []
        if not (results or leases):
            return
        try:
            written = await self._store.commit(Write(calls=[*results, *leases]))
        except BaseException:
            self._results = results + self._results
            raise
        for call, rows in zip(leases, written.rows[len(results) :], strict=True):
            self._leased += _leases(rows, integer(call.parameters["lease_until_us"]))

    def _drop_expired(self) -> None:
        """Give up leases that end before an answer could come; the batches are due again then."""
        latest_us = self._latest_end_us()
        if any(lease.until_us <= latest_us for lease in self._leased):
            self._leased = deque(lease for lease in self._leased if lease.until_us > latest_us)

    def _latest_end_us(self) -> int:
        return self._clock.now_us() + int(REQUEST_TIMEOUT_S * 1_000_000)

    def _start_sending(self) -> None:
        now_us = self._clock.now_us()
        for group in list(group_leases(self._leased, self._frame.bytes_per_log)):
            if self._held or len(self._sending) >= IN_FLIGHT_MAX or self._should_linger(group, now_us):
                break
            for _ in group:
                self._leased.popleft()
            task = asyncio.create_task(self._send(group))
            self._sending.add(task)
            task.add_done_callback(self._sent)

    def _should_linger(self, group: Sequence[Lease], now_us: int) -> bool:
        """Only the last group can be worth waiting for: those before it are as full as their batches allow."""
        is_last = len(group) == len(self._leased)
        if self._stopping or not is_last or is_full(group, self._frame.bytes_per_log):
            return False
        return all(lease.attempts == 0 and now_us - lease.committed_at_us < LINGER_US for lease in group)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("export.send_failed", destination=self.destination.id, error=repr(error))
        self._start_sending()
        if not self._leased:
            self._wake.set()

    async def _send(self, group: Sequence[Lease]) -> None:
        """Send a group of batches; they are delivered when all of their payloads are accepted."""
        logs = await self._frame.read_logs(self._store, [lease.batch for lease in group])
        ending = _Ending(Answer.RETRY)
        for piece in split_payload(logs):
            if min(lease.until_us for lease in group) < self._latest_end_us():
                return  # the rest would outlive the lease; the batches come again when it ends
            body = await asyncio.to_thread(compress_payload, piece)
            ending = self._judge(await self._connector.post_logs(self._intake_url, self._key, body, "gzip"))
            if ending.answer is not Answer.ACCEPTED:
                break
        self._note(group, ending)

    def _judge(self, reply: Reply | Failure) -> _Ending:
        if isinstance(reply, Failure):
            return _Ending(Answer.RETRY, None, f"no answer: {reply}")
        text = reply.body.decode(errors="replace")[:ANSWER_CHARS_KEPT]
        wait_us = told_wait_us(reply.headers, self._clock.now_us())
        return _Ending(classify(reply.status, reply.body), reply.status, text, wait_us)

    def _note(self, group: Sequence[Lease], ending: _Ending) -> None:
        now_us = self._clock.now_us()
        match ending.answer:
            case Answer.ACCEPTED:
                for lease in group:
                    self._result("mark_delivered", lease, status=ending.status, now_us=now_us)
            case Answer.RETRY | Answer.REFUSED | Answer.TOO_LARGE:
                self._keep_waiting(group, ending, now_us)
            case Answer.HELD:
                self._keep_waiting(group, ending, now_us)
                self._hold(ending, now_us)

    def _keep_waiting(self, group: Sequence[Lease], ending: _Ending, now_us: int) -> None:
        for lease in group:
            wait_us = max(backoff_us(lease.attempts, self._clock.fraction()), ending.wait_us)
            self._result("mark_waiting", lease, due_at_us=now_us + wait_us, status=ending.status, answer=ending.text)
        logs = sum(lease.log_count for lease in group)
        seen = {"answer": ending.answer, "status": ending.status, "text": ending.text, "logs": logs}
        log.warning("export.not_accepted", destination=self.destination.id, **seen)

    def _hold(self, ending: _Ending, now_us: int) -> None:
        """Send nothing more this way: the logs wait until a connection passes its test."""
        self._held = True
        reason = f"Datadog answered {ending.status} to the API key ending in {self.destination.key_hint}"
        hold: Parameters = {
            "destination": self.destination.number,
            "seen_at_us": self.destination.updated_at_us,  # a connection that took over meanwhile is not held
            "reason": reason,
            "now_us": now_us,
        }
        self._results.append(Call("hold_destination", hold))
        self._release_leased()

    def _release_leased(self) -> None:
        now_us = self._clock.now_us()
        for lease in self._leased:
            self._result("release_lease", lease, now_us=now_us)
        self._leased.clear()

    def _result(self, statement: str, lease: Lease, **more: str | int | None) -> None:
        identity = {"destination": self.destination.number, "batch": lease.batch, "fence": lease.fence}
        self._results.append(Call(statement, {**identity, **more}))


def _leases(rows: Sequence[Row], until_us: int) -> list[Lease]:
    leases = [Lease(*(integer(value) for value in (*row, until_us))) for row in rows]
    return sorted(leases, key=lambda lease: lease.batch)
