"""Each log carries the anchor of its batch in the audit chain."""

import asyncio

from execlave_server.actions.erase_content import erase_user
from execlave_server.actions.send_again import Past, PastSpan, new_replay_id, send_past
from execlave_server.audit.chain import Entry
from tampering import tamper


async def entries_of(rig) -> list[Entry]:
    """The organization's whole chain."""
    wanted = {"organization": rig.organization.number, "after": 0, "limit": 1_000}
    return await rig.services.store.find(Entry, "audit_entries", wanted)


async def test_each_log_carries_the_entry_of_its_batch(rig) -> None:
    """Number and hash in a log are those of the entry with its batch's root, when it is sent again too."""
    for batch in range(3):
        await rig.ingest(4, prefix=f"b{batch} ")
    async with rig.worker():
        await rig.until(lambda counts: counts.delivered == 12)
        await send_past(
            rig.services,
            rig.organization.number,
            rig.destination.id,
            PastSpan(Past.REPLAY, 0, 1 << 62, new_replay_id(rig.services)),
            report=lambda _done, _total: None,
        )
        async with asyncio.timeout(20):
            while len(logs := await rig.logs()) < 24:
                await asyncio.sleep(0.02)

    hashes = {entry.seq: entry.hash.hex() for entry in await entries_of(rig) if entry.kind == "batch.root"}
    carried = {(log["execlave"]["audit_seq"], log["execlave"]["audit_hash"], log["trace_id"][:2]) for log in logs}
    assert sorted(carried) == [(seq, hash_, f"b{batch}") for batch, (seq, hash_) in enumerate(sorted(hashes.items()))]


async def test_what_waits_is_delivered_without_what_was_erased(rig) -> None:
    """A trace erased before its delivery arrives as its record, counted like any other."""
    await rig.ingest(2, prefix="kept ", userId="u1", errorMessage="of u1")
    await rig.ingest(2, prefix="gone ", userId="u2", errorMessage="of u2")

    await erase_user(rig.services, rig.organization, "u2", lambda _done, _total: None)
    async with rig.worker():
        counts = await rig.until(lambda counts: counts.delivered == 4)

    logs = {log["trace_id"]: log for log in await rig.logs()}
    assert counts.committed == counts.delivered + counts.waiting + counts.parked
    assert [name for name, log in sorted(logs.items()) if log["execlave"].get("erased")] == ["gone 0", "gone 1"]
    assert "u2" not in str(logs)
    assert {"user_id", "error_message"} <= logs["kept 0"].keys()
    gone, kept = logs["gone 0"]["execlave"], logs["kept 0"]["execlave"]
    assert gone.keys() - kept.keys() == {"erased"}


async def test_a_log_from_before_the_chain_has_no_anchor(rig) -> None:
    """A batch that was stored before the server kept a chain is delivered as it always was."""
    await rig.ingest(2)
    await tamper(rig.services.settings, "update batches set audit_seq = null, audit_hash = null, leaves = null")
    async with rig.worker():
        await rig.until(lambda counts: counts.delivered == 2)

    assert [{"audit_seq", "audit_hash"} & log["execlave"].keys() for log in await rig.logs()] == [set(), set()]
