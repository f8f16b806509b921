"""Defects that were there once, each as the behaviour that must hold."""

import asyncio
import json
from pathlib import Path

import pytest

from execlave_server.actions.configure_destination import (
    Wanted,
    change_destination,
    disable_destination,
    enable_destination,
)
from execlave_server.actions.ingest_traces import ingest_traces
from execlave_server.actions.try_destination import try_destination
from execlave_server.api.trace_items import read_items
from execlave_server.app.installation import initialise
from execlave_server.clock import SystemClock
from execlave_server.errors import DataDirError
from execlave_server.model.secret import Secret
from execlave_server.settings import Settings
from execlave_server.vault.envelope import api_key_of

STALE_KEY, NEW_KEY = "5" * 32, "6" * 32


async def test_a_candidate_does_not_outlive_an_edit(rig) -> None:
    """A candidate that never passed is forgotten when the disabled destination gets another key: that one is tested."""
    number, destination_id = rig.organization.number, rig.destination.id
    await rig.keys("0123456789abcdef0123456789abcdef", STALE_KEY, NEW_KEY)
    await change_destination(rig.services, number, destination_id, Wanted(api_key=Secret(STALE_KEY)))
    await disable_destination(rig.services, number, destination_id)

    edited = await change_destination(rig.services, number, destination_id, Wanted(api_key=Secret(NEW_KEY)))
    tested, report = await try_destination(rig.services, number, destination_id)
    enabled = await enable_destination(rig.services, number, destination_id)

    assert (edited.candidate, edited.candidate_key_hint, edited.tested_at_us) == (None, None, None)
    assert (report.passed, tested.candidate) == (True, None)
    key = rig.services.vault.open(enabled.sealed_key, bound_to=api_key_of(enabled.organization_id, enabled.id))
    assert key.reveal() == NEW_KEY


async def test_retry_after_holds_although_other_requests_are_accepted(rig) -> None:
    """While one answer says when to come back, the acceptance of requests in flight beside it opens nothing."""
    await rig.faults(
        {"status": 429, "times": 1, "headers": {"Retry-After": "60"}},
        {"delay_ms": 400, "times": 1},
    )
    await rig.ingest(2_000)
    async with rig.worker():
        await rig.until(lambda counts: counts.delivered == 1_000)
        await rig.ingest(1_000, prefix="more")
        rig.clock.pushed_us += 50_000_000
        await asyncio.sleep(0.7)  # several ticks in which nothing may be sent
        before = await rig.counts()
        rig.clock.pushed_us += 11_000_000
        after = await rig.until(lambda counts: counts.waiting == 0)

    assert (before.delivered, before.waiting) == (1_000, 2_000)
    assert after.delivered == 3_000
    assert len(await rig.logs()) == 3_000


REFUSED_COUNTS = [b"1e30", b"-1e30", b"1e400", b"true", b"1.5", b'"7"', b"1" + b"0" * 400, b"9" * 5_000]
KEPT_COUNTS = [b"-7", b"0", b"1" + b"0" * 30, b"9223372036854775808"]
COUNTS = {"promptTokens": "prompt_tokens", "completionTokens": "completion_tokens", "totalTokens": "total_tokens"}


async def test_absurd_token_counts_hurt_nobody(rig) -> None:
    """A count is an integer that can be written down, or its item is refused by name; neighbours and delivery go on."""
    item = b'{"traceId":"%b","status":"success","modelName":"gpt-4o","%b":%b}'
    cases = [
        (f"{field}-{place}", field, count)
        for field in COUNTS
        for place, count in enumerate([*REFUSED_COUNTS, *KEPT_COUNTS])
    ]
    items = [item % (trace_id.encode(), field.encode(), count) for trace_id, field, count in cases]

    sent, refused = read_items(b'{"traces":[%b]}' % b",".join(items))
    await ingest_traces(rig.services, rig.agent_key, sent)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    logs = {log["trace_id"]: log for log in await rig.logs()}
    assert {each.trace_id for each in refused} == {trace_id for trace_id, _, count in cases if count in REFUSED_COUNTS}
    assert {each.code for each in refused} == {"VALIDATION_ERROR"}
    for trace_id, field, count in cases:
        if count in KEPT_COUNTS:
            assert logs[trace_id][COUNTS[field]] == json.loads(count)
    assert len(logs) + len(refused) == len(cases)


class FailingClock(SystemClock):
    """Has no chance left when the pepper is made: everything before it is on disk by then."""

    def token(self) -> str:
        raise OSError("no chance")


def test_a_failed_init_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whatever part was made is removed again, so that the next `init` succeeds."""
    settings = Settings(data_dir=tmp_path / "data")
    with pytest.raises(OSError, match="no chance"):
        asyncio.run(initialise(settings, FailingClock()))
    left = sorted(path.name for path in tmp_path.rglob("*"))

    asyncio.run(initialise(settings, SystemClock()))

    assert left == ["data"]
    assert settings.database.exists()


def test_an_init_that_cannot_make_its_database_takes_its_key_back(tmp_path: Path) -> None:
    """Something in the way of the database is named, whatever it is, and the key-encryption key is removed again."""
    settings = Settings(data_dir=tmp_path / "data")
    settings.data_dir.mkdir()
    for place in ("execlave.db-wal", "execlave.db"):
        blocking = settings.data_dir / place
        if place == "execlave.db":
            blocking.symlink_to(tmp_path / "nowhere" / "file")
        else:
            blocking.mkdir()
        with pytest.raises(DataDirError, match=r"execlave\.db"):
            asyncio.run(initialise(settings, SystemClock()))
        assert not (tmp_path / "data.kek").exists()
        assert not settings.database.exists()
        if blocking.is_dir():
            blocking.rmdir()

    asyncio.run(initialise(settings, SystemClock()))
    assert settings.database.exists()
