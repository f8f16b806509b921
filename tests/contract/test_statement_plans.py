"""No statement reads a table that grows from its beginning: what SQLite means to do, for every statement.

SQLite has no statistics here, so a plan depends on the statement and the schema alone, and one test sees them all.
"""

import re

import apsw
import pytest

from execlave_server.store.migrations import load_migrations
from execlave_server.store.statements import Statement, load_statements

GROWING = {
    "agents", "agent_grants", "approvals", "audit_entries", "batches", "decisions", "event_logs", "incident_steps",
    "incident_traces", "incidents", "key_agents", "labels", "outbox", "parked", "reservations", "trace_resolutions",
    "traces", "users",
}  # fmt: skip
SCOPES = {"organization", "destination"}  # an index's first column, which says nothing of how many rows there are
_FROM = re.compile(r"\b(?:from|join|into|update)\s+(\w+)(?:\s+(?:as\s+)?(\w+))?", re.IGNORECASE)
_STEP = re.compile(
    r"^(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?(?:INDEX \w+|(?:INTEGER )?PRIMARY KEY))?(?: \((.*)\))?$"
)

ALLOWED = {
    "all of a fleet or a list that people keep, which a page shows or counts": {
        "agents_by_status", "agents_page", "another_owner", "count_agents", "count_users_and_policies",
        "discover_agents", "find_invitation", "first_without_people", "list_people", "search_agents",
        "unregistered_agents", "use_invitation",
    },
    "in the order of its index, until the page is full": {
        "incidents_of_agent", "list_approvals", "newest_answers",
    },
    "a sum that a person or a sweep asks for, over batches, approvals or incidents": {
        "approvals_waiting", "count_approvals", "count_expired", "count_incidents", "count_traces", "delivery_counts",
        "incidents_by_agent",
    },
    "what a search knows of an organization's texts": {"labels_of_organization"},
    "the queue, a row for a thousand logs: what waits, and what the doctor counts": {
        "delivery_standing", "destination_standings", "heartbeat_facts", "queue_facts", "release_every_lease",
    },
    "an aggregate that the index answers from one end": {"evidence_end"},
    "parked logs, which wait for a person, in pages or in sum": {
        "confirm_parked", "delivery_queues", "list_parked", "parked_by_reason", "provisionally_parked",
    },
    "what erasing and proving go through once": {"erase_parked", "stray_event_logs"},
}  # fmt: skip


@pytest.fixture(scope="module")
def database() -> apsw.Connection:
    """An empty database of the present schema."""
    connection = apsw.Connection(":memory:")
    for _number, _name, script in load_migrations("sqlite"):
        connection.execute(script)
    return connection


def read_whole(database: apsw.Connection, statement: Statement) -> set[str]:
    """The steps of a plan that read all of a growing table, or all of it that one organization has."""
    names = {(alias or table): table for table, alias in _FROM.findall(statement.sql)} | {t: t for t in GROWING}
    asked = dict.fromkeys(statement.parameters)
    found = set()
    for *_, step in database.execute(f"explain query plan {statement.sql}", asked):
        match = _STEP.match(step)
        if match is None or names.get(match[2]) not in GROWING:
            continue
        verb, _, bounds = match.groups()
        is_one_end = verb == "SEARCH" and bounds is None  # the least or the greatest, from an index's end
        if not is_one_end and set(re.findall(r"(\w+)\)?[=<>]", bounds or "")) <= SCOPES:
            found.add(step)
    return found


@pytest.mark.parametrize("statement", load_statements("sqlite").values(), ids=lambda statement: statement.name)
def test_a_growing_table_is_read_by_an_index(database, statement):
    """A statement reads of a table that grows what it names; the few that read more are listed with the reason."""
    whole = read_whole(database, statement)
    is_allowed = any(statement.name in names for names in ALLOWED.values())

    assert bool(whole) == is_allowed, whole or f"{statement.name} need not be allowed any more"


def test_what_is_allowed_exists():
    """A statement that went leaves no permission behind."""
    assert set().union(*ALLOWED.values()) <= load_statements("sqlite").keys()
