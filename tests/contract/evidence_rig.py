# ruff: noqa: S608 - the statements are made of this file's own words
"""An organization with some history on either engine, and the tables behind its evidence, column by column."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from execlave_server.actions.enforce_policy import Asked, enforce_policy
from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.ingest_traces import ingest_traces
from execlave_server.actions.issue_key import create_organization, issue_key
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.actions.services import Services
from execlave_server.actions.sign_head import open_signing_key, sign_present_head
from execlave_server.actions.verify_evidence import Kept, Verified, verify_evidence
from execlave_server.api.trace_items import read_items
from execlave_server.audit.findings import Code
from execlave_server.audit.verify import LogAnchor
from execlave_server.model.agents import AgentProfile, AgentStatus
from execlave_server.model.organizations import KeyEnvironment, Organization, Role
from execlave_server.policy.action import Action
from office import services_on


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
        action = Action("bot", "hello", environment="production")
        await enforce_policy(self.services, self.key, Asked(action, "ab" * 32, trace_id=trace_id))

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


async def fill(store, clock, run, folder) -> AsyncIterator[Filled]:
    """An organization with some history, and another one beside it."""
    services = services_on(store, clock, folder)
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
    await services.datadog.close()


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
    "event_count": "event_count + 1",
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
    "batches": {"collectors", "errors", "violations"},  # the sums are of traces, which are evidence
    "labels": {"number", "organization"},
    "audit_heads": {"organization"},
    "traces": {"bucket", "day"},  # below
}


async def column_names(read, table):
    """The columns of a table, on either engine."""
    try:
        return await read(f"select name from pragma_table_info('{table}')")
    except Exception:  # noqa: BLE001 - not SQLite
        return await read(f"select column_name from information_schema.columns where table_name = '{table}'")


async def log_of(filled, trace_id):
    """What a log in Datadog carries of a trace's first span."""
    [end] = await filled.services.store.rows("audit_head", {"organization": filled.organization.number})
    return LogAnchor(end[1], end[2].hex(), trace_id, "s0")
