"""Each statement that is read as structs returns exactly their fields, on each engine."""

import re
from pathlib import Path

import msgspec
import pytest

from execlave_server.actions.bind_identity import IdentityBinding, IdentityProvider
from execlave_server.actions.doctor.ledger import LedgerRow
from execlave_server.actions.doctor.queue import QueueFacts
from execlave_server.actions.grant_access import Grant, Peer
from execlave_server.actions.judge_traces import Claimed
from execlave_server.actions.meter import Reservation
from execlave_server.actions.pin_tools import Baseline
from execlave_server.actions.read_budgets import StoredBudget
from execlave_server.actions.read_deliveries import DeliveryCounts, DeliveryStanding
from execlave_server.actions.read_metrics import DestinationStanding, ParkedCount
from execlave_server.actions.read_policies import StoredPolicy, StoredVersion
from execlave_server.actions.read_shadow import PastDecision
from execlave_server.actions.read_stored import BatchRow, EndOfChain
from execlave_server.actions.read_trace_deliveries import TraceDeliveryRow
from execlave_server.actions.requeue_parked import LedgerState, ParkedLog
from execlave_server.actions.resolve_trace import Resolution
from execlave_server.actions.rotate_secrets import SealedSecret
from execlave_server.actions.sweep import ExpiredBatch
from execlave_server.actions.version_agent import AgentVersion
from execlave_server.api.control import Signal
from execlave_server.audit.chain import Entry
from execlave_server.audit.stored_rows import StoredDecision, StoredEventLog, StoredTrace
from execlave_server.model.agents import Agent
from execlave_server.model.approvals import Approval
from execlave_server.model.destinations import Destination
from execlave_server.model.organizations import ApiKey, Organization
from execlave_server.model.people import Person

SOURCE = Path(__file__).parents[2] / "src"
FOUND_AS = [
    (AgentVersion, "agent_versions"),
    (PastDecision, "newest_decisions"),
    (Baseline, "tool_baseline"),
    (Grant, "find_grant"),
    (Grant, "grants_of"),
    (IdentityBinding, "find_identity_binding"),
    (IdentityProvider, "find_identity_provider"),
    (IdentityProvider, "list_identity_providers"),
    (Peer, "discover_agents"),
    (Resolution, "resolutions_of_trace"),
    (Signal, "signals_after"),
    (Agent, "agents_named"),
    (Agent, "search_agents"),
    (BatchRow, "evidence_batches"),
    (EndOfChain, "evidence_end"),
    (Entry, "audit_entries"),
    (Entry, "audit_entry"),
    (Entry, "audit_events"),
    (Entry, "audit_sweeps"),
    (Entry, "decision_entry"),
    (Entry, "last_settings"),
    (StoredDecision, "decisions_of_trace"),
    (StoredDecision, "evidence_decisions"),
    (StoredDecision, "stored_decision"),
    (StoredEventLog, "evidence_event_logs"),
    (StoredTrace, "evidence_traces"),
    (StoredTrace, "spans_of_trace"),
    (ApiKey, "find_api_key"),
    (ApiKey, "list_api_keys"),
    (Approval, "approvals_run_out"),
    (Approval, "approvals_unverified"),
    (Approval, "find_approval"),
    (Approval, "list_approvals"),
    (Claimed, "warned_decisions"),
    (DeliveryCounts, "delivery_counts"),
    (DeliveryStanding, "delivery_standing"),
    (Destination, "all_destinations"),
    (Destination, "find_destination"),
    (Destination, "list_destinations"),
    (DestinationStanding, "destination_standings"),
    (Entry, "certificate_entry"),
    (ExpiredBatch, "expired_batches"),
    (LedgerRow, "ledger_page"),
    (LedgerState, "ledger_state"),
    (Organization, "find_organization"),
    (Organization, "list_organizations"),
    (ParkedCount, "parked_by_reason"),
    (ParkedLog, "find_parked"),
    (ParkedLog, "list_parked"),
    (Person, "find_person"),
    (Person, "list_people"),
    (Person, "session_person"),
    (QueueFacts, "queue_facts"),
    (Reservation, "claimable_reservations"),
    (Reservation, "find_reservation"),
    (Reservation, "lapsed_reservations"),
    (SealedSecret, "list_sealed"),
    (StoredBudget, "find_budget_rule"),
    (StoredBudget, "live_budget_rules"),
    (PastDecision, "newest_decisions"),
    (StoredPolicy, "find_policy"),
    (StoredPolicy, "live_policies"),
    (StoredVersion, "policy_versions"),
    (TraceDeliveryRow, "trace_deliveries"),
]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("row_type", "statement"), FOUND_AS)
async def test_columns_are_the_fields(engine, tmp_path, row_type, statement):
    """A statement read as structs returns exactly their fields, under their names."""
    fields = [field.encode_name for field in msgspec.structs.fields(row_type)]

    assert sorted(await engine.columns(tmp_path, statement)) == sorted(fields)


def test_no_statement_read_as_structs_is_missing_here():
    """Every pair of struct and statement in the source stands in the list above."""
    pattern = re.compile(r"(?:\.find\(|\._find\(|find_one\([\w.]+,)\s*([A-Z]\w+),\s*\"(\w+)\"")
    found = {pair for file in SOURCE.rglob("*.py") for pair in pattern.findall(file.read_text())}

    assert len(found) >= 8
    assert found <= {(row_type.__name__, statement) for row_type, statement in FOUND_AS}
