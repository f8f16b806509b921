"""What the worker counts while it delivers."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from execlave_server.metrics import INTAKE_SECONDS


class LaneMeter:
    """Counts one destination's deliveries."""

    def __init__(self, metrics: "WorkerMetrics", organization_id: str, destination_id: str) -> None:
        self._labels = (organization_id, destination_id)
        self._metrics = metrics
        self._requests: dict[tuple[str, str], Counter] = {}
        self._bytes = metrics.sent_bytes.labels(*self._labels)
        self._seconds = metrics.request_seconds.labels(*self._labels)
        self._delivered = metrics.delivered.labels(*self._labels)
        self._late = metrics.late.labels(*self._labels)

    def answered(self, answer: str, status: str, *, sent_bytes: int, latency_us: int) -> None:
        """A request with logs ended; `status` is an HTTP status, or why there was no answer."""
        counter = self._requests.get((answer, status))
        if counter is None:
            counter = self._requests[answer, status] = self._metrics.requests.labels(*self._labels, answer, status)
        counter.inc()
        self._bytes.inc(sent_bytes)
        self._seconds.observe(latency_us / 1e6)

    def delivered(self, logs: int, *, late: int) -> None:
        """Logs were accepted; `late` of them with the present time as their timestamp."""
        self._delivered.inc(logs)
        self._late.inc(late)

    def parked(self, reason: str) -> None:
        """A log was refused for good."""
        self._metrics.parked.labels(*self._labels, reason).inc()

    def beat(self, *, delivered: bool) -> None:
        """A heartbeat was sent."""
        self._metrics.heartbeats.labels(*self._labels, "accepted" if delivered else "failed").inc()


class WorkerMetrics:
    """The worker's registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        of_destination = ["organization", "destination"]
        self.requests = Counter(
            "execlave_delivery_requests",
            "Requests to the intake, by what the answer means and its status, or why there was none.",
            [*of_destination, "answer", "status"],
            registry=registry,
        )
        self.sent_bytes = Counter(
            "execlave_delivery_sent_bytes",
            "Bytes sent to the intake, compressed, whatever the answer.",
            of_destination,
            registry=registry,
        )
        self.request_seconds = Histogram(
            "execlave_delivery_request_duration_seconds",
            "From the first byte sent to the answer.",
            of_destination,
            registry=registry,
            buckets=INTAKE_SECONDS,
        )
        self.delivered = Counter(
            "execlave_logs_delivered", "Logs accepted by the intake.", of_destination, registry=registry
        )
        self.late = Counter(
            "execlave_logs_late",
            "Logs delivered with the present time as their timestamp, because Datadog would have dropped them.",
            of_destination,
            registry=registry,
        )
        self.parked = Counter(
            "execlave_logs_parked", "Logs refused for good, by reason.", [*of_destination, "reason"], registry=registry
        )
        self.heartbeats = Counter(
            "execlave_heartbeats", "Heartbeats sent, by result.", [*of_destination, "result"], registry=registry
        )

    def lane(self, organization_id: str, destination_id: str) -> LaneMeter:
        """The meter of a destination, to be kept."""
        return LaneMeter(self, organization_id, destination_id)
