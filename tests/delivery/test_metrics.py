"""What Prometheus is shown: counted where it happens, or read from the store, never made up of a tenant's words."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from execlave_server.actions.read_metrics import read_metrics
from execlave_server.metrics import ServerMetrics, render

pytestmark = pytest.mark.sqlite

OF_DESTINATION = {"organization", "destination"}


def values(text: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    """Each sample by its name and the values of its labels, without those of organization and destination."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = tuple(
                value for name, value in sample.labels.items() if name not in {"organization", "destination"}
            )
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


async def test_what_the_worker_counts(rig) -> None:
    """Logs delivered, late and parked; requests by answer and status; bytes and time."""
    await rig.faults({"status": 503, "times": 1}, {"status": 400, "times": 4})
    await rig.ingest(8)
    async with rig.worker() as worker:
        await rig.until(lambda counts: counts.waiting == 0)
        await rig.ingest(2, prefix="late", timestamp="2026-01-01T00:00:00.000Z")
        await rig.until(lambda counts: counts.delivered == 9)
        shown = values(render(worker.metrics.registry))

    requests = shown["execlave_delivery_requests_total"]
    assert (shown["execlave_logs_delivered_total"], shown["execlave_logs_late_total"]) == ({(): 9}, {(): 2})
    assert shown["execlave_logs_parked_total"] == {("refused",): 1}
    assert (requests["retry", "503"], requests["refused", "400"]) == (1, 4)
    assert requests["accepted", "202"] >= 4
    assert shown["execlave_delivery_sent_bytes_total"][()] > 100
    assert shown["execlave_delivery_request_duration_seconds_count"][()] == sum(requests.values())


async def test_a_failure_without_an_answer_has_a_reason(rig) -> None:
    """A connection that breaks counts as `broken`."""
    await rig.faults({"action": "reset", "times": 1})
    await rig.ingest(1)
    async with rig.worker() as worker:
        await rig.until(lambda counts: counts.waiting == 0)
        shown = values(render(worker.metrics.registry))

    assert shown["execlave_delivery_requests_total"]["retry", "broken"] == 1


async def test_what_the_server_reads_from_the_store(rig) -> None:
    """Backlog, its age, parked logs by reason and the destination's state, whether or not a worker runs."""
    await rig.faults({"status": 400, "times": 4})
    await rig.ingest(8)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)
    await rig.ingest(5, prefix="waiting")
    rig.clock.pushed_us += 100_000_000

    shown = values(await read_metrics(rig.services))

    assert shown["execlave_backlog_logs"] == {(): 5}
    assert 100 <= shown["execlave_backlog_oldest_age_seconds"][()] < 110
    assert shown["execlave_parked_logs"] == {("refused",): 1}
    assert (shown["execlave_destination_enabled"], shown["execlave_destination_held"]) == ({(): 1}, {(): 0})
    on_sqlite = not rig.services.settings.database_url
    assert (shown["execlave_wal_bytes"][()] > 0) is on_sqlite
    assert shown["execlave_commit_group_writes_count"][()] >= 3


async def test_the_store_is_read_at_most_every_five_seconds(rig) -> None:
    """Scrapes that follow one another closely show the same."""
    before = values(await read_metrics(rig.services))
    await rig.ingest(5)

    assert before["execlave_backlog_logs"] == values(await read_metrics(rig.services))["execlave_backlog_logs"]


def test_two_registries_share_nothing() -> None:
    """There is no global state: what one counts, the other does not show."""
    one, other = ServerMetrics(), ServerMetrics()
    one.decided("allowed")

    assert values(render(one.registry))["execlave_enforce_decisions_total"] == {("allowed",): 1}
    assert "execlave_enforce_decisions_total" not in values(render(other.registry))
