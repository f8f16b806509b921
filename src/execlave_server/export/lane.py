"""One destination's way out: lease due batches, pack, send, write down what became of each."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto
from itertools import chain

import structlog

from execlave_server.audit.changes import destination_switched
from execlave_server.clock import Clock
from execlave_server.datadog.answers import Answer, Failure, classify
from execlave_server.datadog.connection import REQUEST_TIMEOUT_S, DatadogConnector
from execlave_server.datadog.try_connection import try_connection
from execlave_server.errors import UnavailableError
from execlave_server.export.dispatch import Dispatch
from execlave_server.export.frame import Frame
from execlave_server.export.heartbeat import Heartbeat
from execlave_server.export.lane_metrics import LaneMeter
from execlave_server.export.leases import Lease, leases_from
from execlave_server.export.ledger import Ending, Ledger
from execlave_server.export.payloads import compress_payload, group_leases, is_full
from execlave_server.export.refusals import REFUSED_IN_A_ROW_MAX, Refusals
from execlave_server.export.retries import WAIT_US_MAX, backoff_us, told_wait_us
from execlave_server.model.destinations import Destination, DestinationState
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, ChangeEvent, Store, Value, Write, integer

LINGER_US = 1_000_000  # a payload that is not full waits at most this long for more
IN_FLIGHT_MAX = 4  # requests under way at once; hides the round trip without flooding the intake
LOGS_PER_S_MAX = 50_000  # as many as four round trips to Datadog bring; more would only take the cores from decisions
LEASE_US = 20_000_000  # twice the request's timeout: what is sent ends before its lease does
LEASED_LOGS_GOAL = 20_000  # what 100 ms of sending needs at the best rate measured
LEASED_ROWS_MAX = 2_000  # in one statement
TICK_S = 0.1  # results and leases go into one short transaction this often
IDLE_LOOK_S = 0.2  # how often an idle lane looks for due batches
STORE_PAUSE_S = 1.0  # before trying a store again that could not commit
OUTAGE_PROBE_US = 2_500_000  # while nothing gets through, one batch is tried this often, so that draining resumes soon
HELD_PROBE_US = 30_000_000  # a held destination asks this often whether its key works again
CLOCK_STEP_US = 1_000_000  # a wall clock that gains or loses so much in one tick was set
FINISH_TRIES = 5
ANSWER_CHARS_KEPT = 500
_SWITCHES = {"hold_destination": DestinationState.HELD, "resume_destination": DestinationState.ENABLED}

log = structlog.get_logger()


class _Mode(Enum):
    """OPEN sends what is due; OUTAGE tries one batch now and then; HELD sends nothing but asks now and then."""

    OPEN = auto()
    OUTAGE = auto()
    HELD = auto()


class Lane:
    """Delivers to one destination. When it dies, what it holds comes again after the lease.

    The lane's own waits and the ends of its leases go by the clock that is never set (`elapsed_us`); the wall clock is
    for what other processes read.
    """

    def __init__(
        self,
        store: Store,
        connector: DatadogConnector,
        clock: Clock,
        destination: Destination,
        *,
        key: Secret,
        meter: LaneMeter,
        public_url: str,
    ) -> None:
        self._store = store
        self._connector = connector
        self._clock = clock
        self.destination = destination
        self._key = key
        self._meter = meter
        self._heartbeat = Heartbeat(store, connector, clock, destination, key=key, meter=meter)
        self._frame = Frame(destination, public_url)
        self._intake_url = connector.endpoints(destination.site).intake_url
        self._mode = _Mode.HELD if destination.state is DestinationState.HELD else _Mode.OPEN
        self._probe_at_us = clock.elapsed_us() + HELD_PROBE_US
        self._not_before_us = 0  # Datadog asked to be left alone until then
        self._wall_ahead_us = clock.now_us() - clock.elapsed_us()
        self._refusals = Refusals(store, clock, destination.number)
        self._leased: deque[Lease] = deque()
        self._ledger = Ledger(destination.number)
        self._sending: dict[asyncio.Task[None], Sequence[Lease]] = {}
        self._stopping = False
        self._wake = asyncio.Event()

    def stop(self) -> None:
        """Lease nothing more; `run` ends when what is under way has its answer."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        self._ledger.everything_due(self._clock.now_us())  # whatever the clock was when it was told to wait
        while not self._stopping:
            try:
                await self._tick()
            except UnavailableError as error:
                log.warning("export.store_unavailable", destination=self.destination.id, error=str(error))
                await self._sleep(STORE_PAUSE_S)
        self._release_leased()
        await self._heartbeat.stop()
        while self._sending:
            await asyncio.wait(self._sending)
        await self._finish()

    async def _finish(self) -> None:
        """Write the last results; a busy store is tried again, for what is not written would be sent again."""
        for _ in range(FINISH_TRIES):
            try:
                await self._write([])
                await self._requeue_refused()
            except UnavailableError as error:
                log.warning("export.store_unavailable", destination=self.destination.id, error=str(error))
            else:
                if self._mode is not _Mode.HELD or not self._refusals:
                    return
            await asyncio.sleep(STORE_PAUSE_S)

    async def _tick(self) -> None:
        self._follow_clock()
        await self._refusals.recall()
        leases = await self._wanted_leases()
        await self._write(leases)
        if not self._sending:
            await self._requeue_refused()
        if self._mode is _Mode.HELD and not self._sending and self._clock.elapsed_us() >= self._probe_at_us:
            await self._ask_again()
        if self._mode is not _Mode.HELD and self._clock.now_us() >= self._not_before_us:
            self._heartbeat.beat_if_due()
        self._drop_expired()
        self._start_sending()
        await self._sleep(TICK_S if self._sending or self._leased else IDLE_LOOK_S)

    def _follow_clock(self) -> None:
        """When the wall clock was set: hold by the new time what is held; nothing waits for the old time to return."""
        now_us = self._clock.now_us()
        before_us, self._wall_ahead_us = self._wall_ahead_us, now_us - self._clock.elapsed_us()
        moved_us = self._wall_ahead_us - before_us
        if abs(moved_us) < CLOCK_STEP_US:
            return
        log.warning("export.clock_set", destination=self.destination.id, moved_us=moved_us)
        for lease in chain(self._leased, *self._sending.values()):
            self._ledger.extend(lease, now_us + LEASE_US)
        if moved_us < 0:
            self._ledger.everything_due(now_us)

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _wanted_leases(self) -> list[Call]:
        now_us, elapsed_us = self._clock.now_us(), self._clock.elapsed_us()
        due: dict[str, Value] = {
            "destination": self.destination.number,
            "now_us": now_us,
            "far_us": now_us + WAIT_US_MAX,
        }
        wanted = due | {"lease_until_us": now_us + LEASE_US}
        match self._mode:
            case _ if elapsed_us < self._not_before_us or self._mode is _Mode.HELD:
                return []
            case _Mode.OUTAGE if elapsed_us < self._probe_at_us or len(self._sending) >= IN_FLIGHT_MAX:
                return []
            case _Mode.OUTAGE:
                self._probe_at_us = elapsed_us + OUTAGE_PROBE_US
                return [Call("lease_oldest", wanted)]
            case _Mode.OPEN:
                if sum(lease.log_count for lease in self._leased) >= LEASED_LOGS_GOAL:
                    return []
                if not await self._store.rows("is_due", due):
                    return []
                return [Call("lease_outbox", wanted | {"rows": LEASED_ROWS_MAX, "logs": LEASED_LOGS_GOAL})]

    async def _write(self, leases: Sequence[Call]) -> None:
        """Write the results so far and take new leases, in one transaction."""
        results = self._ledger.take()
        if not (results or leases):
            return
        wall_ahead_us = self._clock.now_us() - self._clock.elapsed_us()
        try:
            written = await self._store.commit(Write(calls=[*results, *leases], events=self._events_of(results)))
        except BaseException:
            self._ledger.put_back(results)
            raise
        for call, rows in zip(leases, written.rows[len(results) :], strict=True):
            self._leased += leases_from(rows, integer(call.parameters["lease_until_us"]) - wall_ahead_us)

    def _events_of(self, calls: Sequence[Call]) -> list[ChangeEvent]:
        """What of these results the audit chain is told: that the destination is held, or no more."""
        return [
            ChangeEvent(self.destination.organization, place, destination_switched(self._clock.now_us(), state))
            for place, call in enumerate(calls)
            if (state := _SWITCHES.get(call.statement))
        ]

    def _drop_expired(self) -> None:
        """Give up leases that end before an answer could come; the batches are due again then."""
        latest_us = self._latest_end_us()
        if any(lease.until_us <= latest_us for lease in self._leased):
            self._leased = deque(lease for lease in self._leased if lease.until_us > latest_us)

    def _latest_end_us(self) -> int:
        return self._clock.elapsed_us() + int(REQUEST_TIMEOUT_S * 1_000_000)

    def _start_sending(self) -> None:
        if self._stopping or self._clock.elapsed_us() < self._not_before_us:
            return
        for group in list(group_leases(self._leased, self._frame.bytes_per_log)):
            if self._mode is _Mode.HELD or len(self._sending) >= IN_FLIGHT_MAX or self._should_linger(group):
                break
            for _ in group:
                self._leased.popleft()
            task = asyncio.create_task(self._send(group))
            self._sending[task] = group
            task.add_done_callback(self._sent)

    def _should_linger(self, group: Sequence[Lease]) -> bool:
        """Only the last group can be worth waiting for: those before it are as full as their batches allow.

        A batch from the future was committed before the clock was set back: it has waited already.
        """
        is_last = len(group) == len(self._leased)
        if not is_last or is_full(group, self._frame.bytes_per_log):
            return False
        now_us = self._clock.now_us()
        return all(lease.attempts == 0 and 0 <= now_us - lease.committed_at_us < LINGER_US for lease in group)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.pop(task, None)
        if not task.cancelled() and (error := task.exception()):
            log.error("export.send_failed", destination=self.destination.id, error=repr(error))
        self._start_sending()
        if not self._leased:
            self._wake.set()

    async def _send(self, group: Sequence[Lease]) -> None:
        """Send a group of batches, piece by piece; how far each is, is on disk before its next piece goes out."""
        dispatch = Dispatch(await self._frame.read(self._store, group, self._clock.now_us() // 1_000))
        until_us = min(lease.until_us for lease in group)
        while (piece := dispatch.piece) is not None:
            if until_us < self._latest_end_us():
                return  # the rest would outlive the lease; the batches come again when it ends
            ending = await self._post(piece)
            self._take_in(dispatch, ending)
            await asyncio.sleep(IN_FLIGHT_MAX * len(piece) / LOGS_PER_S_MAX - ending.latency_us / 1e6)
            if ending.answer in {Answer.RETRY, Answer.HELD} or self._mode is _Mode.HELD:
                self._keep_waiting(dispatch, ending)
                return
            if dispatch.piece is not None:
                until_us = self._clock.elapsed_us() + LEASE_US
                for batch in dispatch.batches:
                    self._ledger.extend(batch.lease, self._clock.now_us() + LEASE_US)
                await self._write([])

    def _take_in(self, dispatch: Dispatch, ending: Ending) -> None:
        """What one answer means for the logs that were sent, and for the way they went."""
        match ending.answer:
            case Answer.ACCEPTED:
                accepted = len(dispatch.piece or ())
                dispatch.accept()
                self._meter.delivered(accepted, late=sum(batch.late for batch in dispatch.batches))
                self._opened()
            case Answer.REFUSED | Answer.TOO_LARGE:
                self._refused(dispatch, ending)
            case Answer.RETRY:
                self._close(ending)
            case Answer.HELD:
                self._hold(f"Datadog answered {ending.status} to the API key ending in {self.destination.key_hint}")
        for batch in dispatch.batches:
            self._ledger.settle(batch, ending, self._clock.now_us())

    async def _post(self, logs: Sequence[bytes]) -> Ending:
        body = await asyncio.to_thread(compress_payload, logs)
        started_us = self._clock.elapsed_us()
        reply = await self._connector.post_logs(self._intake_url, self._key, body, "gzip")
        latency_us = self._clock.elapsed_us() - started_us
        answer = Answer.RETRY if isinstance(reply, Failure) else classify(reply.status, reply.body)
        status = str(reply) if isinstance(reply, Failure) else str(reply.status)
        self._meter.answered(answer, status, sent_bytes=len(body), latency_us=latency_us)
        if isinstance(reply, Failure):
            return Ending(Answer.RETRY, None, f"no answer: {reply}", 0, latency_us)
        text = reply.body.decode(errors="replace")[:ANSWER_CHARS_KEPT].replace(self._key.reveal(), "[key]")
        text = text.replace("\0", " ")  # PostgreSQL keeps no NUL in a text
        wait_us = told_wait_us(reply.headers, self._clock.now_us())
        return Ending(answer, reply.status, text, wait_us, latency_us)

    def _opened(self) -> None:
        """Something got through: what waited for that is due now."""
        if self._mode is not _Mode.HELD and self._refusals:
            self._refusals.clear()
            self._ledger.confirm_parked()
        if self._mode is _Mode.OUTAGE and self._clock.elapsed_us() >= self._not_before_us:
            self._mode = _Mode.OPEN
            log.info("export.resumed", destination=self.destination.id)
            self._ledger.everything_due(self._clock.now_us())
            self._wake.set()

    def _close(self, ending: Ending) -> None:
        """Nothing gets through: try one batch now and then, not before Datadog wants to be asked again."""
        if self._mode is _Mode.OPEN:
            self._mode = _Mode.OUTAGE
        elapsed_us = self._clock.elapsed_us()
        self._probe_at_us = elapsed_us + OUTAGE_PROBE_US
        self._not_before_us = max(self._not_before_us, elapsed_us + ending.wait_us)
        self._release_leased()
        seen = {"status": ending.status, "text": ending.text}
        log.warning("export.not_accepted", destination=self.destination.id, **seen)

    def _keep_waiting(self, dispatch: Dispatch, ending: Ending) -> None:
        now_us = self._clock.now_us()
        for batch in dispatch.batches:
            if not batch.done:
                wait_us = max(backoff_us(batch.lease.attempts, self._clock.fraction()), ending.wait_us)
                if self._stopping:
                    wait_us = 0  # the lane that follows made everything due as it began, and knows better by now
                self._ledger.wait(batch.lease, ending, now_us + wait_us)

    def _refused(self, dispatch: Dispatch, ending: Ending) -> None:
        refused = dispatch.refuse()
        if refused is None:
            return
        reason = "too_large" if ending.answer is Answer.TOO_LARGE else "refused"
        self._ledger.park(refused, reason, ending, self._clock.now_us())
        self._meter.parked(reason)
        where = {"batch": refused.lease.batch, "position": refused.position}
        log.warning("export.parked", destination=self.destination.id, status=ending.status, text=ending.text, **where)
        self._refusals.add(**where)
        if self._refusals.are_too_many and self._mode is not _Mode.HELD:
            self._hold(f"{REFUSED_IN_A_ROW_MAX} single logs in a row were refused with status {ending.status}")

    def _hold(self, reason: str) -> None:
        """Send nothing more this way: the logs wait until validation and a test log pass."""
        self._mode = _Mode.HELD
        self._probe_at_us = self._clock.elapsed_us() + HELD_PROBE_US
        log.warning("export.held", destination=self.destination.id, reason=reason)
        self._ledger.hold(reason, self.destination.updated_at_us, self._clock.now_us())
        self._release_leased()
        self._wake.set()

    async def _ask_again(self) -> None:
        """Resume by itself when the key is valid and the intake takes a test log."""
        self._probe_at_us = self._clock.elapsed_us() + HELD_PROBE_US
        report = await try_connection(
            self._connector,
            self.destination.site,
            self._key,
            service=self.destination.service,
            ddtags=self.destination.ddtags,
            now_ms=self._clock.now_us() // 1_000,
        )
        if report.passed:
            log.info("export.resumed", destination=self.destination.id)
            self._ledger.resume(self._clock.now_us())
            await self._write([])

    async def _requeue_refused(self) -> None:
        """The logs whose refusals made this destination held were not at fault: they wait again."""
        if self._refusals and (self._mode is _Mode.HELD or self._refusals.are_too_many):
            await self._write([])  # what is requeued has to be parked on disk first
            await self._refusals.requeue()

    def _release_leased(self) -> None:
        now_us = self._clock.now_us()
        for lease in self._leased:
            self._ledger.release(lease, now_us)
        self._leased.clear()
