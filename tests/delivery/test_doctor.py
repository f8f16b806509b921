"""Doctor proves that nothing is lost: what is taken out of the database is named, and nothing else, under load too."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import apsw
import pytest

from execlave_server.actions.configure_destination import (
    Wanted,
    add_destination,
    change_destination,
    disable_destination,
    enable_destination,
)
from execlave_server.actions.doctor.findings import Code, Finding, Report, Severity
from execlave_server.actions.requeue_parked import list_parked, requeue_parked
from execlave_server.actions.send_again import Past, PastSpan, send_past
from execlave_server.actions.try_destination import try_destination
from execlave_server.app.checkup import examine_installation
from execlave_server.model.destinations import DestinationState
from execlave_server.model.secret import Secret
from tampering import without_triggers

pytestmark = pytest.mark.sqlite

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # its files are damaged here


async def examine(rig, *, organization_id: str | None = None, deep: bool = False) -> Report:
    """What doctor says of the rig."""
    return await examine_installation(
        rig.services.settings, rig.clock, organization_id=organization_id, deep=deep, progress=lambda *_: None
    )


def change(rig, sql: str, *values: Any) -> None:
    """Change the database as only an accident would; exactly one row."""
    with closing(apsw.Connection(str(rig.services.settings.database))) as connection:
        connection.set_busy_timeout(5_000)
        with without_triggers(connection):
            connection.execute(sql, values)
            assert connection.changes() == 1


def only(report: Report) -> Finding:
    """The one finding."""
    assert len(report.findings) == 1, report.findings
    assert not report.healthy
    return report.findings[0]


def sums(report: Report) -> Sequence[tuple[int, int, int, int]]:
    """(committed, delivered, waiting, parked) of each destination."""
    return [(each.committed, each.delivered, each.waiting, each.parked) for each in report.standings]


async def parked_one(rig) -> None:
    """A batch of eight logs, one of them parked, the others delivered."""
    await rig.faults({"status": 400, "times": 4})
    await rig.ingest(8)
    async with rig.worker():
        await rig.until(lambda counts: counts.parked == 1 and counts.waiting == 0)


class TestTheSum:
    async def test_an_installation_in_order_has_no_findings(self, rig):
        """Delivered, waiting and parked logs add up to what is committed, and nothing is found, shallow or deep."""
        await parked_one(rig)
        await rig.ingest(5, prefix="waiting")

        report = await examine(rig, deep=True)

        assert report.findings == []
        assert report.healthy
        assert sums(report) == [(13, 7, 5, 1)]
        assert report.standings[0].balanced

    async def test_a_deleted_outbox_row_is_named(self, rig):
        """Its batch and its destination are named, and the command that sends it again mends it."""
        for prefix in ("a", "b", "c"):
            await rig.ingest(3, prefix=prefix)
        change(rig, "delete from outbox where batch = 2")

        report = await examine(rig)
        found = only(report)
        start, end = received(rig, 2)
        queued = await backfill(rig, rig.destination.id, start, end)

        assert (found.code, found.batch, found.destination) == (Code.LEDGER_ROW_MISSING, 2, rig.destination.id)
        assert f"deliveries backfill --destination {rig.destination.id} --from 20" in found.remedy
        assert sums(report) == [(9, 0, 6, 0)]
        assert not report.standings[0].balanced
        assert queued == 1
        assert (await examine(rig)).findings == []

    @pytest.mark.parametrize("row", [4, 5, 6])
    async def test_a_deleted_trace_is_named(self, rig, row):
        """The batch, the destination and the row are named, be it the first, middle or last of its batch."""
        for prefix in ("a", "b"):
            await rig.ingest(3, prefix=prefix)
        change(rig, "delete from traces where id = ?", row)
        await rig.ingest(3, prefix="c")  # the number of the newest row is used again

        report = await examine(rig)
        found = only(report)

        assert (found.code, found.batch, found.destination) == (Code.TRACE_MISSING, 2, rig.destination.id)
        assert f"Missing trace rows: {row} (log {row - 4} of the batch)." in found.what
        assert sums(report) == [(8, 0, 9, 0)]

    async def test_a_deleted_parked_log_is_named(self, rig):
        """The batch and the destination are named, and how many of its parked logs are gone."""
        await parked_one(rig)
        change(rig, "delete from parked")

        report = await examine(rig)
        found = only(report)

        assert (found.code, found.batch, found.destination) == (Code.PARKED_LOG_MISSING, 1, rig.destination.id)
        assert "1 of its logs are parked; 1 of them is gone" in found.what
        assert sums(report) == [(8, 7, 0, 0)]

    async def test_a_deleted_batch_is_named(self, rig):
        """An outbox row without its batch is found, and traces without it when every trace is read."""
        for prefix in ("a", "b"):
            await rig.ingest(3, prefix=prefix)
        change(rig, "delete from batches where id = 1")

        found = only(await examine(rig))
        deep = await examine(rig, deep=True)

        assert (found.code, found.batch, found.destination) == (Code.BATCH_MISSING, 1, rig.destination.id)
        assert any("3 traces (rows 1 to 3)" in finding.what for finding in deep.findings)

    async def test_what_was_never_collected_is_not_missed(self, rig):
        """A destination owes nothing for the time before it was enabled and while it was disabled, until a backfill."""
        await rig.ingest(3, prefix="a")
        second = await add_second(rig)
        await rig.ingest(3, prefix="b")
        await disable_destination(rig.services, rig.organization.number, second)
        await rig.ingest(3, prefix="c")
        await enable_destination(rig.services, rig.organization.number, second)
        await rig.ingest(3, prefix="d")

        before = await examine(rig)
        assert await backfill(rig, second, 0, rig.clock.now_us()) == 2
        after = await examine(rig)
        change(rig, "delete from outbox where batch = 3 and destination = 2")

        assert before.findings == after.findings == []
        assert [each[0] for each in sums(before)] == [12, 6]
        assert [each[0] for each in sums(after)] == [12, 12]
        assert only(await examine(rig)).batch == 3

    async def test_one_organization_alone(self, rig):
        """With an organization given, only its ledger is read."""
        await rig.ingest(3)
        change(rig, "insert into organizations (id, name, created_at_us) values ('org_other', 'Other', 1)")
        change(rig, "delete from outbox where batch = 1")

        other = await examine(rig, organization_id="org_other")
        own = await examine(rig, organization_id=rig.organization.id)

        assert (other.findings, other.standings) == ([], [])
        assert only(own).organization == rig.organization.id


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("update outbox set log_count = 9 where batch = 1", Code.LOG_COUNT_WRONG),
        ("update outbox set settled = x'0f' where batch = 1", Code.SETTLED_BITS_WRONG),
        ("update outbox set settled = null where batch = 1", Code.SETTLED_BITS_WRONG),
        ("update outbox set due_at_us = 1 where batch = 1", Code.LEDGER_STRANDED),
        ("update outbox set due_at_us = null where batch = 2", Code.LEDGER_STRANDED),
        ("update outbox set accepted_count = 9 where batch = 1", Code.LEDGER_COUNTS_WRONG),
        ("update outbox set parked_count = 0, accepted_count = 8 where batch = 1", Code.LEDGER_COUNTS_WRONG),
    ],
)
async def test_a_ledger_row_that_contradicts_itself_is_named(rig, sql, code):
    """Counts, marks and due time that do not fit together are found, by batch and destination."""
    await parked_one(rig)
    await rig.ingest(5, prefix="waiting")
    change(rig, sql)

    report = await examine(rig)
    found = [finding for finding in report.findings if finding.code is code]

    assert len(found) == 1, report.findings
    assert (found[0].batch, found[0].destination) == (2 if "batch = 2" in sql else 1, rig.destination.id)
    assert not report.healthy


class TestTheQueue:
    async def test_a_lease_nobody_takes_over_is_found(self, rig):
        """A lease that ended long ago, first in an enabled destination's queue, is an error; a fresh one is none."""
        await rig.ingest(3)
        change(rig, "update outbox set leased_at_us = ?, due_at_us = ?", rig.clock.now_us(), rig.clock.now_us())
        before = await examine(rig)
        rig.clock.pushed_us += 700_000_000

        found = only(await examine(rig))

        assert before.findings == []
        assert (found.code, found.batch, found.destination) == (Code.LEASE_STUCK, 1, rig.destination.id)

    async def test_a_row_due_in_the_far_future_is_found(self, rig):
        """No lease and no wait is that long: the clock was stepped back."""
        await rig.ingest(3)
        change(rig, "update outbox set due_at_us = ?", rig.clock.now_us() + 3_600_000_000)

        assert only(await examine(rig)).code is Code.DUE_TOO_FAR

    async def test_a_queue_that_stands_still_is_a_warning(self, rig):
        """Logs that wait long while nothing is delivered are shown, and are no error: nothing is lost."""
        await rig.ingest(3)
        rig.clock.pushed_us += 700_000_000

        report = await examine(rig)

        assert [finding.code for finding in report.findings] == [Code.DELIVERY_STALLED]
        assert "no worker runs" in report.findings[0].why
        assert report.healthy

    async def test_a_destination_held_for_long_is_a_warning(self, rig):
        """An hour after it was held, with the reason it was held for."""
        change(rig, "update destinations set state = 'held', state_reason = 'Datadog answered 403'")
        before = await examine(rig)
        rig.clock.pushed_us += 3_700_000_000

        report = await examine(rig)

        assert before.findings == []
        assert [finding.code for finding in report.findings] == [Code.DESTINATION_HELD]
        assert "Datadog answered 403" in report.findings[0].what


class TestTheClock:
    async def test_rows_from_the_future_are_found(self, rig):
        """A clock that was set back leaves rows later than now."""
        rig.clock.pushed_us = 3_600_000_000
        await rig.ingest(3)
        rig.clock.pushed_us = 0

        report = await examine(rig)

        assert Code.CLOCK_BEHIND in {finding.code for finding in report.findings}

    async def test_a_step_back_is_shown_with_its_place(self, rig):
        """Batches whose receive times are out of order name the moment."""
        rig.clock.pushed_us = -3_600_000_000
        await rig.ingest(3, prefix="a")
        rig.clock.pushed_us = -7_200_000_000
        await rig.ingest(3, prefix="b")
        rig.clock.pushed_us = 0

        report = await examine(rig)
        found = [finding for finding in report.findings if finding.code is Code.CLOCK_STEPPED_BACK]

        assert [finding.batch for finding in found] == [2]
        assert "3600 s earlier" in found[0].what


class TestKeysAndFiles:
    async def test_a_sealed_key_that_does_not_open_is_named(self, rig):
        """A key moved from another destination, or sealed under another key-encryption key, is an error."""
        change(rig, "update destinations set sealed_key = zeroblob(60)")

        found = only(await examine(rig))

        assert (found.code, found.destination) == (Code.KEY_UNUSABLE, rig.destination.id)

    async def test_a_missing_key_encryption_key_is_a_finding_and_the_rest_is_examined(self, rig):
        """Doctor works without the key, and says that it is missing."""
        await rig.ingest(3)
        key_file = rig.services.settings.data_dir.with_name("data.kek")
        key_file.unlink()

        report = await examine(rig)
        found = only(report)

        assert found.code is Code.KEK_UNUSABLE
        assert str(key_file) in found.what
        assert sums(report) == [(3, 0, 3, 0)]

    async def test_a_key_inside_the_data_directory_is_found(self, rig):
        """Also when a setting names it, and through a symbolic link."""
        outside = rig.services.settings.data_dir.with_name("data.kek")
        inside = rig.services.settings.data_dir / "kek"
        outside.rename(inside)
        outside.symlink_to(inside)

        assert Code.KEK_INSIDE_DATA_DIR in {finding.code for finding in (await examine(rig)).findings}

    @pytest.mark.parametrize(
        ("name", "mode", "severity"),
        [("", 0o755, Severity.WARNING), ("", 0o777, Severity.ERROR), ("execlave.db", 0o644, Severity.WARNING)],
    )
    async def test_permissions_too_open_are_found(self, rig, name, mode, severity):
        """What others may read is a warning, what they may change an error, with the command that mends it."""
        path = rig.services.settings.data_dir / name
        path.chmod(mode)

        report = await examine(rig)

        assert [(each.code, each.severity) for each in report.findings] == [(Code.PERMISSIONS_OPEN, severity)]
        assert f"chmod {'600' if name else '700'} {path}" in report.findings[0].remedy

    async def test_a_damaged_database_is_found(self, rig):
        """--deep has the database check its own tables; here one holds a row that its schema forbids."""
        with closing(apsw.Connection(str(rig.services.settings.database))) as connection:
            connection.execute("pragma writable_schema = on")
            for old, new in (("us integer not null", "us integer"), ("us integer", "us integer not null")):
                connection.execute(
                    "update sqlite_schema set sql = replace(sql, ?, ?) where name = 'installation'", (old, new)
                )
                connection.execute("pragma writable_schema = reset; pragma writable_schema = on")
                connection.execute("update or ignore installation set created_at_us = null")

        shallow, deep = await examine(rig), await examine(rig, deep=True)

        assert shallow.findings == []
        assert only(deep).code is Code.DATABASE_DAMAGED
        assert "installation" in only(deep).what


async def test_no_false_finding_under_load(rig):
    """While traces come in, are delivered, refused, parked and requeued, doctor finds nothing, again and again."""
    await rig.faults({"status": 400, "times": 12}, {"status": 503, "times": 4}, {"status": 413, "times": 2})
    done = asyncio.Event()

    async def produce() -> None:
        for number in range(30):
            await rig.ingest(300, prefix=f"p{number}-")
            if number == 12:
                await change_destination(rig.services, rig.organization.number, rig.destination.id, Wanted(name="N"))
            if number in {10, 20}:
                await rig.faults({"status": 400, "times": 12})
        parked = await list_parked(rig.services, rig.organization.number, destination_id=None, after=0, limit=100)
        await requeue_parked(rig.services, rig.organization.number, [each.id for each in parked][:5])
        await rig.until(lambda counts: counts.waiting == 0)
        done.set()

    examined = 0
    async with rig.worker():
        producing = asyncio.create_task(produce())
        while not (done.is_set() or producing.done()):
            report = await examine(rig)
            examined += 1
            assert report.findings == []
            assert all(each.balanced for each in report.standings)
        await producing

    final = await examine(rig)
    assert examined >= 5
    assert final.findings == []
    assert final.standings[0].committed == 9_000
    assert (await rig.reload()).state is DestinationState.ENABLED


def received(rig, batch: int) -> tuple[int, int]:
    """The receive time of a batch as a span."""
    with closing(apsw.Connection(str(rig.services.settings.database))) as connection:
        time_us = connection.execute("select received_at_us from batches where id = ?", (batch,)).get
    return time_us, time_us + 1


async def backfill(rig, destination: str, from_us: int, to_us: int) -> int:
    """Queue a span again; how many batches."""
    return await send_past(
        rig.services,
        rig.organization.number,
        destination,
        PastSpan(Past.BACKFILL, from_us, to_us, None),
        report=lambda *_: None,
    )


async def add_second(rig) -> str:
    """Another destination, enabled; its id."""
    key = Secret("0123456789abcdef0123456789abcdef")
    wanted = Wanted(name="Second", site="sandbox", api_key=key, heartbeat=False, events=False)
    number = rig.organization.number
    added = await add_destination(rig.services, rig.organization.id, number, wanted)
    await try_destination(rig.services, number, added.id)
    return (await enable_destination(rig.services, number, added.id)).id
