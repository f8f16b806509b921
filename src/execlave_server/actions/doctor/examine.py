"""Reads the facts of a running installation, a page at a time, and puts the checks' findings together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from execlave_server.actions.doctor.findings import Code, Finding, Report, Severity, Standing, limited
from execlave_server.actions.doctor.ledger import (
    LedgerCheck,
    LedgerRow,
    batch_missing,
    name_missing,
    traces_without_batch,
)
from execlave_server.actions.doctor.machine import MachineFacts, check_machine, check_outcomes, check_settings
from execlave_server.actions.doctor.queue import FAR_US, QueueFacts, check_clock, check_queue, unusable_key
from execlave_server.clock import Clock
from execlave_server.errors import NotFoundError, SecretError, UnavailableError
from execlave_server.model.destinations import Destination
from execlave_server.model.organizations import Organization
from execlave_server.store.protocol import Parameters, Store, integer
from execlave_server.vault.envelope import Vault, api_key_of

TRACES_PER_PAGE = 50_000  # one statement's: some 50 ms of reading, which the write-ahead log does not notice
BATCHES_PER_PAGE = 1_000
EVERYBODY = 0  # as an organization's number

ReportProgress = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Patient:
    """What is examined. Without a usable key-encryption key there is no vault."""

    store: Store
    vault: Vault | None
    clock: Clock
    machine: MachineFacts


async def examine(patient: Patient, *, organization_id: str | None, deep: bool, progress: ReportProgress) -> Report:
    """Every finding, errors first. `progress` is told (what, how far, of how much). Raises NotFoundError.

    `deep` also reads every trace once more, and has the database check its own files: long, and in one transaction.
    """
    findings = [*check_machine(patient.machine)]
    check = LedgerCheck({}, {})
    try:
        check = await _examine_store(patient, organization_id, findings, deep=deep, progress=progress)
    except UnavailableError as error:
        findings.append(
            Finding(
                Code.DATABASE_UNREADABLE,
                Severity.ERROR,
                f"The examination ended early: {error.message}",
                "Nothing is proved of what was not read.",
                "Run doctor again. If it stays so, check the disk, and keep a copy of the files before anything else.",
            )
        )
    kept, omitted = limited(findings)
    return Report(kept, list(check.standings.values()), check.batches, omitted)


async def _examine_store(
    patient: Patient, organization_id: str | None, findings: list[Finding], *, deep: bool, progress: ReportProgress
) -> LedgerCheck:
    store = patient.store
    organizations = await store.find(Organization, "list_organizations")
    if organization_id is not None:
        organizations = [each for each in organizations if each.id == organization_id]
        if not organizations:
            raise NotFoundError(f"There is no organization {organization_id} here.")
    only = organizations[0].number if organization_id is not None else EVERYBODY
    destinations: dict[int, Destination] = {}
    for organization in organizations:
        listed = await store.find(Destination, "list_destinations", {"organization": organization.number})
        destinations |= {destination.number: destination for destination in listed}
    standings = {number: Standing(each.id, each.organization_id, each.state) for number, each in destinations.items()}
    check = LedgerCheck(standings, {each.number: each.id for each in organizations})
    await _examine_ledger(store, check, only, findings, progress)
    await _examine_queues(patient, check, destinations, only, findings)
    findings += [] if patient.vault is None else _check_keys(patient.vault, destinations, standings)
    settings = [(str(name), str(setting)) for name, setting in await store.rows("database_settings")]
    findings += check_settings(settings)
    if deep:
        await _examine_deeply(store, findings, progress)
    return check


async def _examine_ledger(
    store: Store, check: LedgerCheck, only: int, findings: list[Finding], progress: ReportProgress
) -> None:
    newest = integer((await store.rows("newest_batch"))[0][0])
    after = 0
    while after < newest:
        page: Parameters = {
            "after": after,
            "newest": newest,
            "organization": only,
            "batches": BATCHES_PER_PAGE,
            "traces": TRACES_PER_PAGE,
        }
        rows = await store.find(LedgerRow, "ledger_page", page)
        last = rows[-1].batch if rows else newest
        places = {row.batch: row for row in rows}
        for finding in check.take(rows):
            named = finding.code is Code.TRACE_MISSING and finding.batch is not None
            findings.append(await _name_missing(store, finding, places) if named else finding)
        orphans: Parameters = {"organization": only, "after": after, "last": last}
        for destination, batch, log_count in await store.rows("ledger_rows_without_batch", orphans):
            standing = check.standings.get(integer(destination))
            if standing is not None:
                findings.append(batch_missing(standing, integer(batch), integer(log_count)))
        after = last
        progress("ledger", after, newest)


async def _name_missing(store: Store, finding: Finding, places: dict[int, LedgerRow]) -> Finding:
    assert finding.batch is not None
    present = [integer(row[0]) for row in await store.rows("batch_trace_ids", {"batch": finding.batch})]
    place = places[finding.batch]
    return name_missing(finding, place.first_trace, place.last_trace, present)


async def _examine_queues(
    patient: Patient,
    check: LedgerCheck,
    destinations: dict[int, Destination],
    only: int,
    findings: list[Finding],
) -> None:
    store = patient.store
    asked: Parameters = {"organization": only, "far_us": patient.clock.now_us() + FAR_US}
    queues = await store.find(QueueFacts, "queue_facts", asked)
    now_us = patient.clock.now_us()  # after the facts: none of them is younger
    for facts in queues:
        destination = destinations.get(facts.destination)
        if destination is not None:
            delivered_at_us = check.last_delivered_at_us.get(facts.destination, 0)
            findings += check_queue(facts, destination, delivered_at_us, now_us)
    newest = {
        "batch": check.newest_received[0],
        "delivery": max(check.last_delivered_at_us.values(), default=0),
    }
    findings += [*check_clock(newest, now_us), *check.clock()]


def _check_keys(
    vault: Vault, destinations: dict[int, Destination], standings: dict[int, Standing]
) -> Iterator[Finding]:
    for number, destination in destinations.items():
        bound_to = api_key_of(destination.organization_id, destination.id)
        sealed = {"API key": destination.sealed_key, "candidate API key": destination.candidate_sealed_key}
        for which, key in sealed.items():
            if key is None:
                continue
            try:
                vault.open(key, bound_to=bound_to)
            except SecretError as error:
                yield unusable_key(standings[number], which, error.message)


async def _examine_deeply(store: Store, findings: list[Finding], progress: ReportProgress) -> None:
    newest = integer((await store.rows("newest_trace"))[0][0] or 0)
    for after in range(0, newest, TRACES_PER_PAGE):
        last = min(after + TRACES_PER_PAGE, newest)
        found = await store.rows("traces_without_batch", {"after": after, "last": last})
        findings += [traces_without_batch(*map(integer, row)) for row in found]
        progress("traces", last, newest)
    tables = [str(row[0]) for row in await store.rows("database_tables")]
    for done, table in enumerate(tables):
        progress("database", done, len(tables))
        outcomes = [str(row[0]) for row in await store.rows("check_table", {"name": table})]
        findings += check_outcomes(table, outcomes)
    progress("database", len(tables), len(tables))
