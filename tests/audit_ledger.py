"""An organization's stored rows, batches and chain, small and in memory, made by the package's own functions."""

import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tink import new_keyset_handle, signature
from tink.proto import tink_pb2

from clocks import START_US
from execlave_server.audit import merkle
from execlave_server.audit.batches import StoredBatch, StoredRow
from execlave_server.audit.canonical import nano_usd
from execlave_server.audit.chain import Entry, Event, Head, history_path, next_entry
from execlave_server.audit.events import BatchRoot, DecisionRecorded, Kind, SignIn, Sweep
from execlave_server.audit.evidence import (
    ProvedEntry,
    ProvedRecord,
    decision_parts,
    make_evidence,
    trace_parts,
)
from execlave_server.audit.head import SignedHead, sign_head
from execlave_server.audit.records import (
    DecisionRecord,
    MatchedPolicy,
    TraceRecord,
    decision_content,
    leaf_of,
    trace_content,
)
from execlave_server.audit.sweeps import swept_range

ORGANIZATION = "org_1"
SCRIPT = Path(__file__).parents[1] / "docs" / "verify_evidence.py"


def load_script():
    """The offline script as a module, without running it."""
    spec = importlib.util.spec_from_file_location("verify_evidence", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class ServerKey:
    """A plain Ed25519 key, made with what the server has."""

    def __init__(self):
        signature.register()
        template = tink_pb2.KeyTemplate()
        template.CopyFrom(signature.signature_key_templates.ED25519)
        template.output_prefix_type = tink_pb2.OutputPrefixType.RAW
        handle = new_keyset_handle(template)
        public = handle.public_keyset_handle()
        self.sign = handle.primitive(signature.PublicKeySign).sign
        self._verify = public.primitive(signature.PublicKeyVerify)
        self.public = public._keyset.key[0].key_data.value[-32:]

    def check(self, message, signed):
        """True when this key signed the message."""
        try:
            self._verify.verify(signed, message)
        except Exception:  # noqa: BLE001 - Tink's error, whatever it is today
            return False
        return True


@dataclass
class TraceRow:
    """A trace as stored, with its salt."""

    trace_id: str
    span_id: str
    status: str = "success"
    agent: str = "support-bot"
    environment: str = "production"
    span_type: str = "tool"
    occurred_at_ms: int = START_US // 1_000
    cost_usd: float | None = 0.0012
    decision_id: str | None = None
    salt: bytes = b""
    item: bytes = b""
    log: bytes = b""
    name = property(lambda self: f"trace {self.trace_id}")

    def record(self):
        """Its record as the row stands now."""
        return TraceRecord(
            agent=self.agent,
            content=trace_content(self.salt, self.item, self.log),
            cost_nano_usd=nano_usd(self.cost_usd),
            decision_id=self.decision_id,
            environment=self.environment,
            occurred_at_ms=self.occurred_at_ms,
            organization=ORGANIZATION,
            span_id=self.span_id,
            span_type=self.span_type,
            status=self.status,
            trace_id=self.trace_id,
        )

    def parts(self):
        """Its content, to be shown."""
        return trace_parts(self.salt, self.item, self.log)


@dataclass
class DecisionRow:
    """A decision as stored, with its salt."""

    decision_id: str
    trace_id: str | None
    outcome: str = "blocked"
    agent: str = "a-uuid"
    api_key: str = "key_1"
    environment: str = "production"
    latency_us: int = 812
    decided_at_us: int = START_US
    action_digest: str = "ab" * 32
    violations: str = '[{"policyId":"pol_1"}]'
    salt: bytes = b"\x07" * 16
    policies: tuple = (MatchedPolicy(mode="block", policy="pol_1", rule="r1", version=3),)
    name = property(lambda self: f"decision {self.decision_id}")

    def record(self):
        """Its record as the row stands now."""
        return DecisionRecord(
            agent=self.agent,
            agent_reference="support-bot",
            api_key=self.api_key,
            client="execlave-python-sdk/1.0.0",
            content=decision_content(self.salt, self.action_digest, self.violations),
            decided_at_us=self.decided_at_us,
            decision_id=self.decision_id,
            environment=self.environment,
            latency_us=self.latency_us,
            organization=ORGANIZATION,
            outcome=self.outcome,
            policies=self.policies,
            trace_id=self.trace_id,
        )

    def parts(self):
        """Its content, to be shown."""
        return decision_parts(self.salt, self.action_digest, self.violations)


@dataclass
class BatchOfRows:
    """A batch as stored. The rows stand at their positions; None is a row that is gone."""

    id: int
    received_at_us: int
    traces: int
    decisions: int
    leaves: bytes
    rows: list
    entry: int


@dataclass
class Ledger:
    """Everything there is of one organization."""

    head: Head = field(default_factory=lambda: Head(ORGANIZATION))
    entries: list[Entry] = field(default_factory=list)
    batches: list[BatchOfRows] = field(default_factory=list)
    key: ServerKey = field(default_factory=ServerKey)
    now_us: int = START_US

    def add(self, kind, details, subject="batch:1"):
        """Append an entry."""
        self.now_us += 1_000
        entry = next_entry(self.head, Event(kind, self.now_us, "server", subject, details))
        self.head = self.head.after(entry.hash)
        self.entries.append(entry)
        return entry

    def commit(self, rows):
        """A batch of rows, traces before decisions, with its root and an entry for each decision."""
        leaves = [leaf_of(row.record()) for row in rows]
        traces = sum(isinstance(row, TraceRow) for row in rows)
        for row, leaf in zip(rows[traces:], leaves[traces:], strict=True):
            details = DecisionRecorded(decision=row.decision_id, leaf=leaf.hex(), outcome=row.outcome)
            self.add(Kind.DECISION_RECORDED, details, f"decision:{row.decision_id}")
        number = self.batches[-1].id + 2 if self.batches else 1  # batches of others stand between
        root = BatchRoot(
            batch=number,
            decisions=len(rows) - traces,
            leaves=len(rows),
            root=merkle.root(leaves).hex(),
            traces=traces,
        )
        entry = self.add(Kind.BATCH_ROOT, root, f"batch:{number}")
        batch = BatchOfRows(number, entry.at_us, traces, len(rows) - traces, b"".join(leaves), list(rows), entry.seq)
        self.batches.append(batch)
        return batch

    def fill(self, batches, traces=3, decisions=1):
        """Some batches, with a sign-in between each two."""
        for _ in range(batches):
            number = len(self.batches)
            rows = [self.trace(f"tr_{number}", f"s{span}") for span in range(traces)]
            rows += [DecisionRow(f"dec_{number}_{each}", f"tr_{number}") for each in range(decisions)]
            self.commit(rows)
            self.add(Kind.PERSON_SIGNED_IN, SignIn(method="password", person="p1", succeeded=True), "person:p1")
        return self

    def trace(self, trace_id, span_id):
        """A trace that says something."""
        item = json.dumps({"traceId": trace_id, "input": "find é \U0001f428", "output": "\u2028", "userId": "u1"})
        log = '"message":"send_email success","execlave":{"span_id":"' + span_id + '"}'
        salt = (trace_id + span_id).encode().rjust(16, b"\x00")[:16]
        return TraceRow(trace_id, span_id, salt=salt, item=item.encode(), log=log.encode())

    def sweep(self, first, last):
        """Remove the batches at these places, with an entry that says so."""
        gone = self.batches[first:last]
        roots = [(batch.id, msgspec.json.decode(self.entries[batch.entry - 1].details)["root"]) for batch in gone]
        entry = self.add(Kind.SWEPT, Sweep(older_than_us=self.now_us, ranges=(swept_range(roots),)), "traces")
        del self.batches[first:last]
        return entry

    def sweeps(self):
        """The entries of sweeps."""
        return [entry for entry in self.entries if entry.kind == Kind.SWEPT]

    def signed_head(self) -> SignedHead:
        """The head as it is now, signed."""
        return sign_head(self.head, self.now_us, self.key.public, self.key.sign)

    def stored(self):
        """The batches as a verification reads them."""
        return [
            StoredBatch(
                batch.id,
                batch.received_at_us,
                batch.traces,
                batch.decisions,
                batch.leaves,
                (
                    StoredRow(place, leaf_of(row.record()), row.name)
                    for place, row in enumerate(batch.rows)
                    if row is not None
                ),
                (batch.entry, self.entries[batch.entry - 1].hash) if batch.entry <= len(self.entries) else (None, None),
                batch.traces,
            )
            for batch in self.batches
        ]

    def proved(self, batch, position, *, content=True):
        """A row with the proof that it is in its batch."""
        row = batch.rows[position]
        leaves = [leaf_of(each.record()) for each in batch.rows]
        path = merkle.path_in(leaves, position)
        return ProvedRecord(row.record(), batch.entry, position, path, row.parts() if content else None)

    def proved_entry(self, seq, anchor_seq):
        """An entry with the proof that it is in the history of the anchor."""
        leaves = [merkle.leaf_hash(entry.hash) for entry in self.entries]
        path = history_path(seq, anchor_seq, lambda first, stop: merkle.root(leaves[first:stop]))
        return ProvedEntry(self.entries[seq - 1], path)

    def evidence(self, place, *, anchor_seq=None, head=None, content=True):
        """The evidence for the first trace and the first decision of a batch."""
        batch = self.batches[place]
        anchor = self.entries[(anchor_seq or self.head.seq) - 1]
        records = [self.proved(batch, at, content=content) for at in (0, batch.traces)]
        seqs = {batch.entry, batch.entry - batch.decisions}
        entries = [
            self.proved_entry(seq, anchor.seq) if seq < anchor.seq else ProvedEntry(anchor) for seq in sorted(seqs)
        ]
        return make_evidence(records, entries, anchor, head)
