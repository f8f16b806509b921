# ruff: noqa: S608 - the statements are made of this file's own words
"""Whatever row is tampered with, `audit verify` finds it; what was swept or is older than the chain it says."""

import asyncio
import json

import pytest
from evidence_rig import NOT_EVIDENCE, OURS, ROWS, column_names, log_of

from audit_ledger import load_script
from execlave_server.actions.export_evidence import export_evidence
from execlave_server.actions.verify_evidence import Kept
from execlave_server.audit.findings import Code
from execlave_server.audit.verify import LogAnchor

SCRIPT = load_script()


async def test_what_was_committed_verifies(filled):
    """An untouched organization has no findings, and everything it holds was gone through."""
    verified = await filled.verify()

    assert (verified.findings, verified.count) == ([], 0)
    summary = verified.summary
    assert (summary.batches, summary.leaves, summary.swept, summary.unanchored) == (5, 14, [], [])
    assert summary.entries == summary.newest_entry == 10  # a key, an agent, its status, five roots, two decisions


async def test_a_head_kept_apart_anchors_what_is_before_it(filled):
    """A signed head vouches for the entries up to its own, and is known to be the server's."""
    kept = await filled.signed()
    await filled.ingest("t9")

    verified = await filled.verify(kept)

    assert verified.findings == []
    assert (verified.summary.anchored_entries, verified.summary.newest_entry) == (10, 11)


@pytest.mark.parametrize("table", ROWS)
async def test_each_column_of_a_row_is_evidence(filled, run, read, table):
    """A change of any column of any table behind the evidence is found, and undoing it makes everything whole again."""
    columns, row = ROWS[table]
    copy = f"create table kept as select * from {table}"
    known = [name for (name,) in await column_names(read, table)]
    assert set(known) - NOT_EVIDENCE.get(table, set()) == set(columns)

    await run(copy, triggers=False)
    for column, value in columns.items():
        await run(f"update {table} set {column} = {value} where {row}", triggers=False)

        assert await filled.codes(), f"{table}.{column}"

        await run(f"delete from {table}", f"insert into {table} select * from kept", triggers=False)
    assert await filled.codes() == set()


async def test_what_an_engine_derives_is_evidence_too(engine, filled, run):
    """SQLite's bucket and PostgreSQL's day decide where a trace is found: both are checked."""
    change = "bucket = bucket + 1" if engine.name == "sqlite" else "day = day + 1"
    if engine.name == "postgres":
        await run("select make_trace_partition((select max(day) + 1 from traces))")

    await run(f"update traces set {change} where {OURS}", triggers=False)

    assert await filled.codes() == {Code.TRACE_CHANGED}


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("traces", Code.TRACE_MISSING),
        ("decisions", Code.DECISION_MISSING),
        ("batches", Code.BATCH_MISSING),
        ("audit_entries", Code.ENTRY_MISSING),
    ],
)
async def test_a_row_that_is_gone_is_missing(filled, run, table, code):
    """A deleted row of any table is named by its kind, and not taken for swept."""
    _, row = ROWS[table]

    await run(f"delete from {table} where {row}", triggers=False)

    assert code in await filled.codes()


async def test_rows_that_were_added_are_found(engine, filled, run, read):
    """A copy of a trace, a decision or a batch that nobody recorded is found wherever it stands."""
    for table, changes in {
        "traces": {"id": "id + 5000", "span_key": "5", "trace_key": "5"}
        | ({"bucket": "(id + 5000) >> 14"} if engine.name == "sqlite" else {}),
        "decisions": {"id": "'copy'"},
        "batches": {"id": "id + 5000"},
    }.items():
        columns = [name for (name,) in await column_names(read, table)]
        values = ", ".join(changes.get(name, name) for name in columns)
        row = ROWS[table][1]
        await run(f"insert into {table} select {values} from {table} where {row}", triggers=False)

        codes = await filled.codes()

        assert codes & {Code.TRACE_ADDED, Code.DECISION_ADDED, Code.BATCH_UNANCHORED}, table
        added = "copy" if table == "decisions" else "5000"
        await run(
            f"delete from {table} where id = 'copy'" if added == "copy" else f"delete from {table} where id > 5000",
            triggers=False,
        )
    assert await filled.codes() == set()


async def test_a_row_beside_all_batches_is_found(engine, filled, run, read):
    """A trace behind every batch, and a decision in none, are strays."""
    changes = {"id": "id + 5000", "span_key": "5"} | (
        {"bucket": "(id + 5000) >> 14"} if engine.name == "sqlite" else {}
    )
    columns = [name for (name,) in await column_names(read, "traces")]
    values = ", ".join(changes.get(name, name) for name in columns)
    await run(f"insert into traces select {values} from traces where {ROWS['traces'][1]}", triggers=False)
    columns = [name for (name,) in await column_names(read, "decisions")]
    values = ", ".join({"id": "'copy'", "batch": "null"}.get(name, name) for name in columns)
    await run(f"insert into decisions select {values} from decisions where {ROWS['decisions'][1]}", triggers=False)

    verified = await filled.verify()

    assert [finding.code for finding in verified.findings] == [Code.TRACE_ADDED, Code.DECISION_ADDED]


async def test_the_newest_entries_removed_are_known_to_a_head(filled, run):
    """History cut at its end, with head and batches moved back, agrees with itself, but not with a head or a log."""
    [before] = await filled.services.store.rows("audit_head", {"organization": filled.organization.number})
    await filled.ingest("t9")
    kept = await filled.signed()
    log = await log_of(filled, "t9")
    await run(
        f"delete from traces where {OURS} and trace_id = 't9'",
        f"delete from batches where id = (select max(id) from batches where {OURS})",
        f"delete from audit_entries where {OURS} and seq > {before[1]}",
        f"delete from audit_heads where {OURS}",
        triggers=False,
    )
    await insert_head(filled, before)

    assert await filled.codes() == set()
    assert await filled.codes(kept) == {Code.CHAIN_CUT}
    assert await filled.codes(Kept(logs=[log])) == {Code.CHAIN_CUT}


async def test_history_rewritten_at_equal_length_is_known_to_a_head_and_to_a_log(filled, run):
    """An entry replaced by another, with everything made anew, agrees with itself, but not with a head or a log."""
    [before] = await filled.services.store.rows("audit_head", {"organization": filled.organization.number})
    await filled.ingest("t9")
    kept, log = await filled.signed(), await log_of(filled, "t9")
    await run(
        f"delete from traces where {OURS} and trace_id = 't9'",
        f"delete from batches where id = (select max(id) from batches where {OURS})",
        f"delete from audit_entries where {OURS} and seq > {before[1]}",
        f"delete from audit_heads where {OURS}",
        triggers=False,
    )
    await insert_head(filled, before)
    await filled.ingest("t8")

    assert await filled.codes() == set()
    assert await filled.codes(kept) == {Code.HEAD_MISMATCH}
    assert await filled.codes(Kept(logs=[log])) == {Code.LOG_MISMATCH}


async def insert_head(filled, before):
    """Put an earlier head of the chain back."""
    number = filled.organization.number
    _, seq, hash_, frontier = before
    blob = "x'{}'" if "Sqlite" in type(filled.services.store).__name__ else "decode('{}', 'hex')"
    values = f"{number}, {seq}, {blob.format(hash_.hex())}, {blob.format(frontier.hex())}"
    await filled.run(f"insert into audit_heads values ({values})", triggers=False)


async def test_a_log_of_a_trace_that_is_not_there_is_found(filled):
    """A log that names an entry as it is, of a trace that its batch never held, is one that is missing here."""
    await filled.ingest("t9")
    log = await log_of(filled, "t9")

    assert await filled.codes(Kept(logs=[log])) == set()
    assert await filled.codes(Kept(logs=[LogAnchor(log.audit_seq, log.audit_hash, "gone", "s0")])) == {Code.LOG_MISSING}


async def test_what_is_older_than_the_chain_is_unanchored(filled, run, read):
    """Batches from before there was a chain are told apart: nothing proves them, and nothing is wrong."""
    columns = [name for (name,) in await column_names(read, "batches")]
    old = {
        "id": "-1",
        "audit_seq": "null",
        "audit_hash": "null",
        "leaves": "null",
        "first_trace": "-9",
        "last_trace": "-9",
    }
    values = ", ".join(old.get(name, name) for name in columns)
    await run(f"insert into batches select {values} from batches where {ROWS['batches'][1]}", triggers=False)

    verified = await filled.verify()

    assert verified.findings == []
    assert [each.first for each in verified.summary.unanchored] == [-1]


async def test_the_offline_script_agrees(filled, run, tmp_path, capsys):
    """An exported file passes the offline script; one made of a tampered trace is not made at all."""
    kept = await filled.signed()
    evidence = await export_evidence(filled.services, filled.organization, "t0", list(kept.heads))
    file, heads = tmp_path / "evidence.json", tmp_path / "heads.jsonl"
    file.write_bytes(evidence)
    heads.write_bytes(b"".join(json.dumps(json.loads(evidence)["anchor"]["head"]).encode() + b"\n" for _ in "1"))

    assert SCRIPT.main([str(file), "--head", str(heads)]) == 0
    said = capsys.readouterr().out
    assert said.count("trace: leaf") == 3
    assert said.count("decision: leaf") == 1

    tampered = json.loads(evidence)
    tampered["records"][0]["content"]["parts"]["item"] += " "
    file.write_text(json.dumps(tampered))
    assert SCRIPT.main([str(file), "--head", str(heads)]) == 1
    await run(f"update traces set span_id = 'x' where {ROWS['traces'][1]}", triggers=False)
    with pytest.raises(Exception, match="not as it was recorded"):
        await export_evidence(filled.services, filled.organization, "t0")


async def test_rows_that_come_while_verifying_are_left_to_the_next_time(filled):
    """Commits and a verification at the same time: nothing is found, and nothing waits for it."""
    started = asyncio.create_task(filled.verify())
    for number in range(20):
        await filled.ingest(f"new{number}")

    assert (await started).findings == []
    assert (await filled.verify()).findings == []
