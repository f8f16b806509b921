"""A database from before there was a chain goes on with one: what is older is told apart, what is newer is proved."""

import apsw

from clocks import SettableClock
from execlave_server.actions.verify_evidence import Kept, verify_evidence
from execlave_server.store.protocol import Durability
from execlave_server.store.sqlite import SqliteStore, migrate_database
from execlave_server.store.sqlite.migrate import load_migrations

EVIDENCE = 6
OLD = """
insert into organizations (id, name, created_at_us) values ('org_old', 'Old', 1);
insert into labels (organization, kind, value) values (1, 'agent', 'bot'), (1, 'environment', ''), (1, 'span_type', '');
insert into batches (organization, first_trace, last_trace, trace_count, log_bytes, received_at_us)
  values (1, 1, 1, 1, 3, 1);
insert into traces (id, bucket, trace_key, span_key, organization, batch, status, span_type, agent, environment,
  occurred_at_ms, trace_id, span_id, log, item) values (1, 0, 7, 7, 1, 1, 0, 3, 1, 2, 1, 't', 's', x'6c6f67', x'7b7d');
insert into decisions (id, organization, api_key, outcome, violations, action_digest, decided_at_us, latency_us)
  values ('dec_old', 1, 'key_1', 'allowed', '[]', '', 1, 1);
"""


async def test_an_old_database_gets_a_chain(tmp_path):
    """After the migration, organizations have an empty chain; old batches and decisions are unanchored, not wrong."""
    path = tmp_path / "execlave.db"
    connection = apsw.Connection(str(path))
    connection.execute("create table migrations (number integer primary key, name text, applied_at_us integer)")
    for migration in load_migrations():
        if migration[0] < EVIDENCE:
            connection.execute(migration[2])
            connection.execute("insert into migrations values (?, ?, 1)", migration[:2])
    connection.execute(OLD)
    connection.close()

    applied = migrate_database(path, SettableClock())
    store = SqliteStore(path, SettableClock(), durability=Durability.FULL, checkpoints=True)
    try:
        verified = await verify_evidence(store, 1, Kept(), lambda _done, _total: None)
    finally:
        await store.close()

    assert applied
    assert verified.findings == []
    assert [(each.first, each.batches) for each in verified.summary.unanchored] == [(1, 1)]
