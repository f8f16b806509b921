"""Prometheus metrics, a registry for each process. Children are resolved once: counting costs about a microsecond.

No label takes a value that a client or an agent chooses: routes, outcomes, answers and reasons are closed sets, and the
ids of organizations and destinations are ours.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ENFORCE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
INTAKE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # a request ends at 10 s
GROUP_WRITES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # a commit takes 512 at the most


class DestinationNow(NamedTuple):
    """Where one destination stands."""

    organization: str
    destination: str
    state: str
    waiting: int
    oldest_age_s: float


class RouteMeter:
    """Counts one route's requests."""

    def __init__(self, requests: Counter, seconds: Histogram, method: str, route: str) -> None:
        self._child = partial(requests.labels, method, route)
        self._by_status: dict[int, Counter] = {}
        self._seconds = seconds.labels(method, route)

    def answered(self, status: int, elapsed_us: int) -> None:
        """One request was answered."""
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self._child(str(status))
        counter.inc()
        self._seconds.observe(elapsed_us / 1e6)


class ServerMetrics:
    """What the server counts, and what it reads from the store when it is asked."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.read_again_us = 0  # on the clock that never goes back
        self._requests = Counter(
            "execlave_http_requests",
            "Requests answered, by route and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "execlave_http_request_duration_seconds",
            "How long answering took.",
            ["method", "route"],
            registry=registry,
            buckets=ENFORCE_SECONDS,
        )
        self._decisions = Counter(
            "execlave_enforce_decisions", "Enforce decisions, by outcome.", ["outcome"], registry=registry
        )
        self._decisions_by_outcome: dict[str, Counter] = {}
        traces = Counter(
            "execlave_traces_ingested",
            "Traces received, by what became of them: accepted (stored, or stored already) or refused.",
            ["outcome"],
            registry=registry,
        )
        self._accepted, self._duplicates, self._refused = map(traces.labels, ("stored", "duplicate", "refused"))
        self._group_writes = Histogram(
            "execlave_commit_group_writes", "Writes in one commit.", registry=registry, buckets=GROUP_WRITES
        )
        self._wal_bytes = Gauge("execlave_wal_bytes", "Size of SQLite's write-ahead log file.", registry=registry)
        of_destination = ["organization", "destination"]
        self._waiting = Gauge(
            "execlave_backlog_logs", "Logs that wait for delivery.", of_destination, registry=registry
        )
        self._age = Gauge(
            "execlave_backlog_oldest_age_seconds",
            "Age of the oldest log that waits, from its commit; 0 when none does.",
            of_destination,
            registry=registry,
        )
        self._held = Gauge(
            "execlave_destination_held", "1 while the destination is held.", of_destination, registry=registry
        )
        self._collecting = Gauge(
            "execlave_destination_enabled", "1 while the destination is enabled.", of_destination, registry=registry
        )
        self._parked = Gauge(
            "execlave_parked_logs", "Logs parked now, by reason.", [*of_destination, "reason"], registry=registry
        )

    def route(self, method: str, path: str) -> RouteMeter:
        """The meter of a route, to be kept."""
        return RouteMeter(self._requests, self._request_seconds, method, path)

    def decided(self, outcome: str) -> None:
        """A decision was committed."""
        counter = self._decisions_by_outcome.get(outcome)
        if counter is None:
            counter = self._decisions_by_outcome[outcome] = self._decisions.labels(outcome)
        counter.inc()

    def ingested(self, *, stored: int, duplicates: int, refused: int) -> None:
        """Traces of one request."""
        self._accepted.inc(stored)
        self._duplicates.inc(duplicates)
        self._refused.inc(refused)

    def committed(self, writes: int) -> None:
        """A group of writes was committed. Called on the writer's thread."""
        self._group_writes.observe(writes)

    def show_wal(self, size_bytes: int) -> None:
        """The write-ahead log as it is now."""
        self._wal_bytes.set(size_bytes)

    def show_destinations(
        self, standings: Iterable[DestinationNow], parked: Iterable[tuple[str, str, str, int]]
    ) -> None:
        """Every destination as it is now, in place of what was shown before."""
        for gauge in (self._waiting, self._age, self._held, self._collecting, self._parked):
            gauge.clear()
        for each in standings:
            labels = (each.organization, each.destination)
            self._waiting.labels(*labels).set(each.waiting)
            self._age.labels(*labels).set(each.oldest_age_s)
            self._held.labels(*labels).set(each.state == "held")
            self._collecting.labels(*labels).set(each.state == "enabled")
        for organization, destination, reason, logs in parked:
            self._parked.labels(organization, destination, reason).set(logs)


class _WithoutCreated:
    """A registry's samples without the times at which the counters began, which double the text and say nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def render(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus scrapes."""
    return generate_latest(_WithoutCreated(registry))
