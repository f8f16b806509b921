# ruff: noqa: S608 - the statements are made of this file's own words
"""Erased content is nowhere, and everything still verifies."""

import json

import pytest
from evidence_rig import OURS

from audit_ledger import load_script
from execlave_server.actions.configure_destination import Wanted, add_destination
from execlave_server.actions.erase_content import Erased, erase_user
from execlave_server.actions.export_evidence import export_evidence
from execlave_server.audit.findings import Code
from execlave_server.model.secret import Secret

SCRIPT = load_script()


async def test_erased_content_is_gone_and_everything_still_verifies(filled, read):
    """Content and salts of a user's traces and decisions are nowhere; the rest stays, and nothing is found."""
    told = []

    erased = await erase_user(filled.services, filled.organization, "user of t0", lambda *far: told.append(far))
    again = await erase_user(filled.services, filled.organization, "user of t0", lambda *_far: None)

    assert (erased, again) == (Erased(3, 1), Erased(0, 0))
    assert told == [(11, 11)]  # two are of actions that were stopped
    assert await filled.codes() == set()
    rows = await read(f"select trace_id, log, item, salt, erased from traces where {OURS} and span_id like 's_'")
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
