"""One log a minute from each enabled destination's lane; of several workers exactly one sends it."""

import asyncio

import structlog

from execlave_server.clock import Clock
from execlave_server.datadog.answers import Answer, Failure, classify
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.datadog.heartbeat import HeartbeatFields, heartbeat_middle
from execlave_server.datadog.logs import frame_head, frame_log
from execlave_server.errors import UnavailableError
from execlave_server.export.lane_metrics import LaneMeter
from execlave_server.export.payloads import compress_payload
from execlave_server.model.destinations import Destination
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, Parameters, Store, Write, integer

MINUTE_US = 60_000_000
AHEAD_US = 5 * MINUTE_US  # a claim further ahead is of a clock that was set back since: it binds nobody

log = structlog.get_logger()


class Heartbeat:
    """Claims each minute in the store and, if it was free, sends. A failure waits for the next minute."""

    def __init__(
        self,
        store: Store,
        connector: DatadogConnector,
        clock: Clock,
        destination: Destination,
        *,
        key: Secret,
        meter: LaneMeter,
    ) -> None:
        self._store = store
        self._connector = connector
        self._clock = clock
        self._destination = destination
        self._key = key
        self._meter = meter
        self._intake_url = connector.endpoints(destination.site).intake_url
        self._head = frame_head(destination.service, destination.ddtags)
        self._tried_minute_us = -1
        self._beating: asyncio.Task[None] | None = None

    def beat_if_due(self) -> None:
        """Begin this minute's heartbeat, unless this lane did already. Returns at once and never raises."""
        minute_us = self._clock.now_us() // MINUTE_US * MINUTE_US
        under_way = self._beating is not None and not self._beating.done()
        if not self._destination.heartbeat or minute_us == self._tried_minute_us or under_way:
            return
        self._tried_minute_us = minute_us
        self._beating = asyncio.create_task(self._beat(minute_us))

    async def stop(self) -> None:
        """Give up the one under way."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])

    async def _beat(self, minute_us: int) -> None:
        claim: Parameters = {
            "destination": self._destination.number,
            "minute_us": minute_us,
            "ahead_us": minute_us + AHEAD_US,
        }
        try:
            written = await self._store.commit(Write(calls=[Call("claim_heartbeat", claim)]))
            if written.rows[0]:
                await self._send()
        except UnavailableError as error:
            log.warning("export.heartbeat_failed", destination=self._destination.id, error=str(error))
        except Exception:  # the task's boundary: whatever it is, delivery goes on
            log.exception("export.heartbeat_failed", destination=self._destination.id)

    async def _send(self) -> None:
        rows = await self._store.rows("heartbeat_facts", {"destination": self._destination.number})
        backlog, oldest_at_us, parked = rows[0]
        now_us = self._clock.now_us()
        age_us = 0 if oldest_at_us is None else max(0, now_us - integer(oldest_at_us))
        fields = HeartbeatFields(integer(backlog), age_us // 1_000_000, integer(parked))
        middle = heartbeat_middle(self._destination.organization_id, fields)
        body = compress_payload([frame_log(self._head, now_us // 1_000, middle)])
        reply = await self._connector.post_logs(self._intake_url, self._key, body, "gzip")
        failed = isinstance(reply, Failure) or classify(reply.status, reply.body) is not Answer.ACCEPTED
        self._meter.beat(delivered=not failed)
        if failed:
            seen = str(reply) if isinstance(reply, Failure) else reply.status
            log.warning("export.heartbeat_failed", destination=self._destination.id, status=seen)
