# ruff: noqa: S608 - the statements are made of this file's own words
"""Whatever row is tampered with, `audit verify` finds it; what was swept or is older than the chain it says."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import tink
from tink import aead

from audit_ledger import load_script
from execlave_server.actions.configure_destination import Wanted, add_destination
from execlave_server.actions.enforce_policy import EnforceRequest, enforce_policy
from execlave_server.actions.erase_content import Erased, erase_user
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.export_evidence import export_evidence
from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.identify_caller import KeyRing
from execlave_server.actions.ingest_traces import ingest_traces
from execlave_server.actions.issue_key import create_organization, issue_key
from execlave_server.actions.read_agents import AgentRegistry
from execlave_server.actions.record_sweep import record_sweep
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.actions.services import Services
from execlave_server.actions.sign_head import open_signing_key, sign_present_head
from execlave_server.actions.verify_evidence import Kept, Verified, verify_evidence
from execlave_server.api.trace_items import read_items
from execlave_server.audit.findings import Code
from execlave_server.audit.verify import LogAnchor
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.model.agents import AgentProfile, AgentStatus
from execlave_server.model.organizations import KeyEnvironment, Organization, Role
from execlave_server.model.secret import Secret
from execlave_server.settings import Settings
from execlave_server.store.protocol import Call, Write
from execlave_server.vault.envelope import Vault

SCRIPT = load_script()


@dataclass
class Filled:
    """An organization with three batches of traces, decisions, and what people did."""

    services: Services
    organization: Organization
    key: str
    run: Callable[..., Awaitable[None]]

    async def ingest(self, *trace_ids: str) -> None:
        """Three spans of each trace in one commit."""
        items = [
            {
                "traceId": trace_id,
                "agentId": "bot",
                "status": "success",
                "environment": "production",
                "userId": f"user of {trace_id}",
                "costUsd": 0.0012,
                "input": "find é",
                "spanType": "tool",
                "metadata": {"spanId": f"s{span}"},
            }
            for trace_id in trace_ids
            for span in range(3)
        ]
        sent, refused = read_items(json.dumps({"traces": items}).encode())
        assert not refused
        await ingest_traces(self.services, self.key, sent)

    async def decide(self, trace_id: str | None = None) -> None:
        """One decision."""
        await enforce_policy(self.services, self.key, EnforceRequest("bot", "production", trace_id, "ab" * 32))

    async def verify(self, kept: Kept | None = None) -> Verified:
        """The verification of everything."""
        number = self.organization.number
        return await verify_evidence(self.services.store, number, kept or Kept(), lambda _done, _total: None)

    async def codes(self, kept: Kept | None = None) -> set[Code]:
        """What a verification finds."""
        return {finding.code for finding in (await self.verify(kept)).findings}

    async def signed(self) -> Kept:
        """A head as it is now, kept apart."""
        head = await sign_present_head(self.services, self.organization)
        assert head is not None
        return Kept([head], (await open_signing_key(self.services)).check)


@pytest.fixture
async def filled(store, clock, run) -> Filled:
    """An organization with some history, and another one beside it."""
    aead.register()
    settings = Settings()
    key_encryption_key = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM).primitive(aead.Aead)
    keys = KeyRing(store, Secret("pepper"), clock)
    connector = DatadogConnector(settings)
    services = Services(
        store, clock, settings, Vault(key_encryption_key), keys, AgentRegistry(store), CostEstimator(), connector
    )
    made = []
    for name in ("other", "filled"):
        organization = await create_organization(services, name)
        _, key = await issue_key(
            services, organization, name="", environment=KeyEnvironment.PRODUCTION, role=Role.AGENT
        )
        made.append(Filled(services, organization, key.reveal(), run))
    other, filled = made
    key = await services.keys.identify(filled.key)
    await register_agent(
        services, key, Registration("bot", "Bot", "chatbot", "custom", "production", None, AgentProfile())
    )
    await other.ingest("x0")
    await filled.ingest("t0", "t1")
    await other.ingest("x1")
    await filled.decide("t0")
    await set_agent_status(services, key, "bot", AgentStatus.PAUSED, None)
    await services.agents.named(key, ["bot"], fresh=True)
    await filled.decide("t1")
    await filled.ingest("t2")
    await filled.decide()
    yield filled
    await connector.close()


async def test_what_was_committed_verifies(filled):
    """An untouched organization has no findings, and everything it holds was gone through."""
    verified = await filled.verify()

    assert (verified.findings, verified.count) == ([], 0)
    summary = verified.summary
    assert (summary.batches, summary.leaves, summary.swept, summary.unanchored) == (5, 12, [], [])
    assert summary.entries == summary.newest_entry == 10  # a key, an agent, its status, five roots, two decisions


async def test_a_head_kept_apart_anchors_what_is_before_it(filled):
    """A signed head vouches for the entries up to its own, and is known to be the server's."""
    kept = await filled.signed()
    await filled.ingest("t9")

    verified = await filled.verify(kept)

    assert verified.findings == []
    assert (verified.summary.anchored_entries, verified.summary.newest_entry) == (10, 11)


TRACE = {
    "trace_key": "trace_key + 1",
    "span_key": "span_key + 1",
    "organization": "(select min(number) from organizations)",
    "batch": "batch - 1",
    "status": "status + 1",
    "span_type": "agent",
    "agent": "span_type",
    "environment": "agent",
    "occurred_at_ms": "occurred_at_ms + 1",
    "trace_id": "'another'",
    "span_id": "'another'",
    "log": "item",
    "item": "log",
    "salt": "null",
    "erased": "'{}'",
    "id": "id + 1000",
}
DECISION = {
    "id": "'another'",
    "organization": "(select min(number) from organizations)",
    "api_key": "'another'",
    "agent": "'another'",
    "agent_reference": "'another'",
    "environment": "'another'",
    "outcome": "'another'",
    "violations": "'[]  '",
    "policies": "'[] '",
    "approval": "'another'",
    "client": "'another'",
    "action_digest": "'another'",
    "trace_id": "'another'",
    "decided_at_us": "decided_at_us + 1",
    "latency_us": "latency_us + 1",
    "salt": "null",
    "erased": "'{}'",
    "batch": "batch - 1",
    "position": "position + 1",
}
BATCH = {
    "id": "id + 1000",
    "organization": "(select min(number) from organizations)",
    "first_trace": "first_trace + 1",
    "last_trace": "last_trace - 1",
    "trace_count": "trace_count + 1",
    "decision_count": "decision_count + 1",
    "log_bytes": "log_bytes + 1",
    "received_at_us": "received_at_us + 1",
    "leaves": "null",
    "audit_seq": "null",
    "audit_hash": "leaves",
}
ENTRY = {
    "organization": "(select min(number) from organizations)",
    "seq": "seq + 1000",
    "kind": "'another'",
    "at_us": "at_us + 1",
    "actor": "'another'",
    "subject": "'another'",
    "details": "'{}'",
    "previous": "hash",
    "history": "hash",
    "hash": "previous",
}
HEAD = {"seq": "seq + 1", "hash": "frontier", "frontier": "hash"}
LABEL = {"value": "'another'", "kind": "'another'"}
OURS = "organization = (select max(number) from organizations)"
ROWS = {
    "traces": (TRACE, f"id = (select min(id) + 1 from traces where {OURS})"),
    "decisions": (DECISION, f"id = (select min(id) from decisions where {OURS} and batch is not null)"),
    "batches": (BATCH, f"id = (select min(id) from batches where {OURS} and trace_count > 0)"),
    "audit_entries": (ENTRY, f"{OURS} and seq = 4"),
    "audit_heads": (HEAD, OURS),
    "labels": (LABEL, f"number = (select min(number) from labels where {OURS} and kind = 'agent')"),
}
NOT_EVIDENCE = {
    "batches": {"collectors"},
    "labels": {"number", "organization"},
    "audit_heads": {"organization"},
    "traces": {"bucket", "day"},  # below
}


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


async def column_names(read, table):
    """The columns of a table, on either engine."""
    try:
        return await read(f"select name from pragma_table_info('{table}')")
    except Exception:  # noqa: BLE001 - not SQLite
        return await read(f"select column_name from information_schema.columns where table_name = '{table}'")


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


async def log_of(filled, trace_id):
    """What a log in Datadog carries of a trace's first span."""
    [end] = await filled.services.store.rows("audit_head", {"organization": filled.organization.number})
    return LogAnchor(end[1], end[2].hex(), trace_id, "s0")


async def test_a_log_of_a_trace_that_is_not_there_is_found(filled):
    """A log that names an entry as it is, of a trace that its batch never held, is one that is missing here."""
    await filled.ingest("t9")
    log = await log_of(filled, "t9")

    assert await filled.codes(Kept(logs=[log])) == set()
    assert await filled.codes(Kept(logs=[LogAnchor(log.audit_seq, log.audit_hash, "gone", "s0")])) == {Code.LOG_MISSING}


async def sweep(filled, batches):
    """Remove batches as retention does: all of it in one write."""
    number = filled.organization.number
    record = await record_sweep(filled.services.store, number, batches, older_than_us=5, now_us=6)
    deletes = [Call("sweep_decisions_of_batches", opened.parameters) for opened in record.opening]
    await filled.services.store.commit(Write(calls=[*record.opening, *deletes, *record.closing], events=record.events))


async def test_swept_is_not_missing(filled, run, read):
    """Batches that went with a sweep on record are swept by that entry; one more that went is missing."""
    batches = [batch for (batch,) in await read(f"select id from batches where {OURS} order by id")]
    without_traces = [batch for (batch,) in await read(f"select id from batches where {OURS} and trace_count = 0")]
    for batch in without_traces[:2]:
        await sweep(filled, [batch])
        await run(
            f"insert into audit_sweeping values ({filled.organization.number}, {batch}, {batch}, 0)",
            f"delete from batches where id = {batch}",
            "delete from audit_sweeping",
        )

    verified = await filled.verify()

    assert verified.findings == []
    told = [(each.first, each.last, each.batches, each.entry) for each in verified.summary.swept]
    assert told == [(without_traces[0], without_traces[0], 1, 11), (without_traces[1], without_traces[1], 1, 12)]
    more = next(batch for batch in batches if batch not in without_traces)
    await run(
        *(f"delete from {table} where batch = {more}" for table in ("traces", "decisions")),
        f"delete from batches where id = {more}",
        triggers=False,
    )
    assert await filled.codes() == {Code.BATCH_MISSING}


async def test_ids_that_are_used_again_after_a_sweep_are_no_finding(filled, run, read):
    """Where the newest traces were swept, the next ones may get their ids: each batch still has its own rows."""
    await filled.ingest("t9")
    [(newest,)] = await read(f"select max(id) from batches where {OURS}")
    number = filled.organization.number
    record = await record_sweep(filled.services.store, number, [newest], older_than_us=5, now_us=6)
    await filled.services.store.commit(Write(calls=[*record.opening, *record.closing], events=record.events))
    await run(
        f"insert into audit_sweeping values ({number}, {newest}, {newest}, 0)",
        f"delete from traces where batch = {newest}",
        f"delete from batches where id = {newest}",
        "delete from audit_sweeping",
    )

    await filled.ingest("t10")
    await filled.ingest("t11")

    verified = await filled.verify()
    assert verified.findings == []
    assert [(each.first, each.last) for each in verified.summary.swept] == [(newest, newest)]
    assert await read(f"select count(*) from batches where {OURS} and id <= {newest}") == [(5,)]


async def test_a_sweep_that_leaves_rows_behind_is_found(filled):
    """A batch whose sweep is on record and that is still there is one that remains."""
    number = filled.organization.number
    [(batch,)] = await filled.services.store.rows("newest_batch")
    record = await record_sweep(filled.services.store, number, [batch], older_than_us=5, now_us=6)

    await filled.services.store.commit(Write(calls=[*record.opening, *record.closing], events=record.events))

    assert await filled.codes() == {Code.BATCH_REMAINS}


async def test_what_lies_between_swept_batches_is_in_no_range(filled, read):
    """Batches that stay divide a sweep into ranges, each with the batches that were in the chain."""
    batches = [batch for (batch,) in await read(f"select id from batches where {OURS} order by id")]
    number = filled.organization.number

    record = await record_sweep(filled.services.store, number, [*batches[:2], *batches[3:]], older_than_us=5, now_us=6)
    nothing = await record_sweep(filled.services.store, number, [], older_than_us=5, now_us=6)

    ranges = record.events[0].event.details.ranges
    assert [(each.first, each.last, each.batches) for each in ranges] == [
        (batches[0], batches[1], 2),
        (batches[3], batches[4], 2),
    ]
    opened = [(call.parameters["first_batch"], call.parameters["last_batch"]) for call in record.opening]
    assert opened == [(each.first, each.last) for each in ranges]
    assert nothing.events[0].event.details.ranges == ()
    assert [call.parameters["last_batch"] for call in nothing.opening] == [-1]


async def test_decisions_from_before_the_chain_go_with_a_sweep_of_nothing(filled, run, read):
    """Decisions of no batch may be deleted while a sweep of their organization is open, whatever its range."""
    columns = [name for (name,) in await column_names(read, "decisions")]
    old = {"id": "'old'", "batch": "null", "position": "null", "decided_at_us": "1"}
    values = ", ".join(old.get(name, name) for name in columns)
    row = ROWS["decisions"][1]
    await run(f"insert into decisions select {values} from decisions where {row}", triggers=False)
    assert await filled.codes() == set()

    await run(
        f"insert into audit_sweeping values ({filled.organization.number}, 0, -1, 0)",
        "delete from decisions where batch is null",
        "delete from audit_sweeping",
    )

    assert await read("select count(*) from decisions where id = 'old'") == [(0,)]


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


async def test_erased_content_is_gone_and_everything_still_verifies(filled, read):
    """Content and salts of a user's traces and decisions are nowhere; the rest stays, and nothing is found."""
    told = []

    erased = await erase_user(filled.services, filled.organization, "user of t0", lambda *far: told.append(far))
    again = await erase_user(filled.services, filled.organization, "user of t0", lambda *_far: None)

    assert (erased, again) == (Erased(3, 1), Erased(0, 0))
    assert told == [(9, 9)]
    assert await filled.codes() == set()
    rows = await read(f"select trace_id, log, item, salt, erased from traces where {OURS}")
    assert sum(row[3] is None for row in rows) == 3
    for trace_id, *row in rows:
        text = str(row)
        assert ("user of" in text, "find" in text) == ((False, False) if trace_id == "t0" else (True, True))
    [(action, violations, salt)] = await read(
        f"select action_digest, violations, salt from decisions where {OURS} and trace_id = 't0'"
    )
    assert (action, violations, salt) == ("", "[]", None)
    entries = await read(f"select kind, details from audit_entries where {OURS} order by seq desc limit 1")
    assert [(kind, json.loads(details)["traces"]) for kind, details in entries] == [("erase.done", 3)]


async def test_evidence_of_an_erased_trace_is_its_record(filled, tmp_path, capsys):
    """After erasing, the exported file still proves that the trace was recorded, and says that its content is gone."""
    before = await export_evidence(filled.services, filled.organization, "t0")
    await erase_user(filled.services, filled.organization, "user of t0", lambda *_far: None)
    after = await export_evidence(filled.services, filled.organization, "t0")
    file = tmp_path / "evidence.json"
    file.write_bytes(after)

    assert SCRIPT.main([str(file)]) == 0
    assert capsys.readouterr().out.count("its content is not in this file") == 4
    kept = [[each["record"] for each in json.loads(evidence)["records"]] for evidence in (before, after)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("column", ["log", "item", "salt", "erased", "status", "agent", "span_id", "occurred_at_ms"])
async def test_a_change_of_what_was_erased_is_found(filled, run, column):
    """Nothing can be slipped in where content was: an erased row is what its record says, to the byte."""
    await erase_user(filled.services, filled.organization, "user of t0", lambda *_far: None)
    changed = {
        "log": "(select log from traces where erased is null limit 1)",
        "item": "log",
        "salt": "item",
        "erased": "erased || ' '",
        "status": "status + 1",
        "agent": "span_type",
        "span_id": "'x'",
        "occurred_at_ms": "1",
    }[column]

    await run(f"update traces set {column} = {changed} where erased is not null", triggers=False)

    assert await filled.codes() == {Code.TRACE_CHANGED}


async def test_a_parked_log_loses_what_is_erased(filled, run, read):
    """A parked log keeps its place and its reason, and says no more than the record."""
    [(batch, place)] = await read(
        f"select t.batch, t.id - b.first_trace from traces t join batches b on b.id = t.batch "
        f"where t.{OURS} and t.trace_id = 't0' and t.span_id = 's1'"
    )
    wanted = Wanted(site="datadoghq.eu", api_key=Secret("k" * 32))
    added = await add_destination(filled.services, filled.organization.id, filled.organization.number, wanted)
    destination = added.number
    await run(
        f"insert into outbox (destination, batch, log_count, committed_at_us) values ({destination}, {batch}, 6, 1)",
        "insert into parked (destination, batch, position, reason, payload, parked_at_us) "
        f"select {destination}, {batch}, {place}, 'refused', log, 1 from traces where {OURS} and span_id = 's1' "
        "and trace_id = 't0'",
    )

    await erase_user(filled.services, filled.organization, "user of t0", lambda *_far: None)

    [(payload, reason)] = await read("select payload, reason from parked")
    assert (json.loads(payload)["execlave"]["erased"], reason) == (True, "refused")
    assert b"user of" not in payload


async def test_rows_that_come_while_verifying_are_left_to_the_next_time(filled):
    """Commits and a verification at the same time: nothing is found, and nothing waits for it."""
    started = asyncio.create_task(filled.verify())
    for number in range(20):
        await filled.ingest(f"new{number}")

    assert (await started).findings == []
    assert (await filled.verify()).findings == []
