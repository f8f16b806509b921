"""Approvals from the request to the one use of their certificate, on every engine."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from approvals import ACTION, ask_approval, digest_of
from execlave_server.actions.decide_approval import deny_approval, grant_approval
from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.manage_people import disable_person
from execlave_server.actions.open_signer import SIGNING_KEY, open_signer
from execlave_server.actions.read_approvals import get_approval, list_approvals, read_action_context
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.actions.services import Services
from execlave_server.actions.sweep_approvals import sweep_approvals
from execlave_server.actions.verify_approval import verify_approval
from execlave_server.audit.canonical import salted_digest
from execlave_server.errors import ConflictError, ForbiddenError, NotFoundError, ValidationFailedError
from execlave_server.model.agents import AgentProfile, AgentStatus
from execlave_server.model.approvals import APPROVAL_LIFE_US, CERTIFICATE_LIFE_US, ApprovalStatus, Misuse
from execlave_server.model.people import PersonRole
from execlave_server.store.protocol import Write
from office import Office, open_office, services_on

OTHER = {**ACTION, "input": "refund everything"}


@pytest.fixture
async def office(store, clock, tmp_path) -> Office:
    """An organization with an agent's key and somebody who may decide."""
    return await open_office(services_on(store, clock, tmp_path))


@pytest.fixture
def write(engine, tmp_path):
    """Change the database as only somebody who has it can."""

    async def change(sql: str) -> None:
        await engine.read(tmp_path, sql)

    return change


@pytest.fixture
async def others(engine, tmp_path, clock) -> AsyncIterator[list[Services]]:
    """Two more processes on the database of `office`."""
    stores = [await engine.open(tmp_path, clock) for _ in range(2)]
    yield [services_on(each, clock, tmp_path) for each in stores]
    for each in stores:
        await each.close()


async def granted(office: Office, **more) -> str:
    """An approval that Ada granted."""
    approval_id = await ask_approval(office.services, office.key, **more)
    await grant_approval(office.services, office.ada, approval_id, "Ticket 4711")
    return approval_id


async def verify(office: Office, approval_id: str, action=ACTION):
    """Present an action."""
    return await verify_approval(office.services, office.key, approval_id, digest_of(action))


async def test_a_request_commits_with_its_decision(office, read):
    """Decision, approval and audit entry are one commit; the approver can read what he is to approve."""
    approval_id = await ask_approval(office.services, office.key)
    approval = await get_approval(office.services, office.organization.number, approval_id)
    context = await read_action_context(office.services, approval)

    assert json.loads(context) == ACTION
    assert approval.action_digest == hashlib.sha256(context).hexdigest() == digest_of(ACTION)
    assert await read("select approval from decisions") == [(approval_id,)]
    assert await office.told("approval.requested") == [
        {
            "approval": approval_id,
            "decision": approval.decision,
            "action_digest": salted_digest(approval.salt, b"action", approval.action_digest.encode()),
        }
    ]


async def test_a_grant_is_used_once(office):
    """What was granted is verified once, by its certificate; the second time it is refused, and both are recorded."""
    approval_id = await granted(office)

    first, second = await verify(office, approval_id), await verify(office, approval_id)

    assert (first.valid, first.reason) == (True, None)
    assert (second.valid, second.reason, second.certificate) == (False, Misuse.ALREADY_USED, None)
    claims = (await open_signer(office.services)).open(first.certificate)
    assert (claims.act, claims.approval, claims.by) == (digest_of(ACTION), approval_id, office.ada.id)
    assert claims.exp - claims.iat == CERTIFICATE_LIFE_US // 1_000_000
    kinds = [entry.kind for entry in await office.entries() if entry.subject == f"approval:{approval_id}"]
    assert kinds == [
        *("approval.requested", "approval.decided", "certificate.issued"),
        *("approval.verified", "approval.misused"),
    ]
    [issued] = await office.told("certificate.issued")
    assert issued["certificate_digest"] == hashlib.sha256(first.certificate.encode()).hexdigest()


async def test_of_many_at_once_one_is_true(office, others):
    """Presented to several servers by many at the same moment, a certificate covers one action."""
    approval_id = await granted(office)
    offices = [office, *(replace(office, services=services) for services in others)]

    found = await asyncio.gather(*(verify(offices[number % 3], approval_id) for number in range(9)))

    assert sorted(str(each.reason) for each in found) == sorted(["None", *["certificate_already_used"] * 8])
    assert len(await office.told("approval.verified")) == 1
    assert len(await office.told("approval.misused")) == 8


@pytest.mark.parametrize(
    "changed",
    [
        {"input": "refund e"},
        {"environment": "staging"},
        {"metadata": {"toolArguments": {"amount": 10}}},
        {"estimatedCost": 1.51},
        {"tools": ["refund", "send"]},
    ],
)
async def test_another_action_is_not_covered(office, changed):
    """A certificate covers exactly what was approved; another action is refused, and leaves it unused."""
    approval_id = await granted(office)

    refused = await verify(office, approval_id, {**ACTION, **changed})

    assert (refused.valid, refused.reason) == (False, Misuse.CONTEXT_MISMATCH)
    assert (await office.told("approval.misused"))[0]["reason"] == "action_context_mismatch"
    assert (await verify(office, approval_id)).valid


async def test_what_is_not_sealed_does_not_matter(office):
    """The order of keys and what an approval does not bind change nothing."""
    approval_id = await granted(office)
    same = dict(reversed(ACTION.items())) | {"agentId": "another", "toolOutputs": []}

    assert (await verify(office, approval_id, same)).valid


async def test_a_certificate_runs_out(office, others, clock):
    """Ten minutes after the grant it covers nothing any more, and that nobody used it is recorded once."""
    approval_id = await granted(office)
    silent = await granted(office, alerts=False)
    clock.advance(us=CERTIFICATE_LIFE_US)

    swept = await asyncio.gather(*(sweep_approvals(services) for services in (office.services, *others)))
    again = await sweep_approvals(office.services)

    assert sum(each.unverified for each in swept) == 1
    assert again == (0, 0)
    assert [told["approval"] for told in await office.told("approval.execution_unverified")] == [approval_id]
    assert (await verify(office, approval_id)).reason is Misuse.EXPIRED
    assert (await verify(office, silent)).reason is Misuse.EXPIRED


async def test_a_used_certificate_is_not_unverified(office, clock):
    """What was verified in time raises nothing later."""
    assert (await verify(office, await granted(office))).valid
    clock.advance(us=CERTIFICATE_LIFE_US)

    assert await sweep_approvals(office.services) == (0, 0)


async def test_nobody_decides_in_time(office, clock):
    """After 29 minutes an approval is expired by the clock alone, and the sweep records it once."""
    approval_id = await ask_approval(office.services, office.key)
    number = office.organization.number
    clock.advance(us=APPROVAL_LIFE_US - 1)
    before = await get_approval(office.services, number, approval_id)
    assert await sweep_approvals(office.services) == (0, 0)
    clock.advance(us=1)

    after = await get_approval(office.services, number, approval_id)
    with pytest.raises(ConflictError, match="expired"):
        await grant_approval(office.services, office.ada, approval_id, "Too late")
    counts = [
        (await list_approvals(office.services, number, status=status, limit=10, offset=0))[1]
        for status in (ApprovalStatus.PENDING, ApprovalStatus.EXPIRED, None)
    ]
    swept = [await sweep_approvals(office.services), await sweep_approvals(office.services)]

    assert before.status_at(clock.now_us() - 1) is ApprovalStatus.PENDING
    assert after.status_at(clock.now_us()) is ApprovalStatus.EXPIRED
    assert counts == [0, 1, 1]
    assert swept == [(1, 0), (0, 0)]
    assert [told["approval"] for told in await office.told("approval.expired")] == [approval_id]
    assert (await verify(office, approval_id)).reason is Misuse.UNANCHORED


async def test_of_two_decisions_one_stands(office):
    """Whoever is second hears of it, and the chain has one decision."""
    approval_id = await ask_approval(office.services, office.key)
    bob = await office.person("bob@example.com", PersonRole.ADMIN)

    results = await asyncio.gather(
        grant_approval(office.services, office.ada, approval_id, "Yes"),
        deny_approval(office.services, bob, approval_id, "No"),
        return_exceptions=True,
    )

    [refused] = [each for each in results if isinstance(each, BaseException)]
    assert isinstance(refused, ConflictError)
    assert len(await office.told("approval.decided")) == 1


async def test_a_denial_has_no_certificate(office):
    """What was denied is never verified; the reason stands in the table, its salted digest in the chain."""
    approval_id = await ask_approval(office.services, office.key)
    denied = await deny_approval(office.services, office.ada, approval_id, "Müller says no")

    assert (denied.status, denied.decision_reason, denied.certificate) == ("denied", "Müller says no", None)
    assert (await verify(office, approval_id)).reason is Misuse.UNANCHORED
    [told] = await office.told("approval.decided")
    assert told == {
        "approval": approval_id,
        "outcome": "denied",
        "reason_digest": salted_digest(denied.salt, b"reason", "Müller says no".encode()),
    }


async def test_only_who_may_decides(office):
    """The role must have the permission, the person must be there still, and must not have asked for it himself."""
    services = office.services
    approval_id = await ask_approval(services, office.key)
    own = await ask_approval(services, office.key, action={**ACTION, "metadata": {"requestedBy": " ADA@example.com"}})
    eve = await office.person("eve@example.com", PersonRole.ANALYST)
    other = await open_office(services, "Globex")

    with pytest.raises(ForbiddenError, match=r"approvals\.decide"):
        await grant_approval(services, eve, approval_id, "Yes")
    with pytest.raises(ForbiddenError, match="yourself"):
        await grant_approval(services, office.ada, own, "Yes")
    with pytest.raises(NotFoundError):
        await grant_approval(services, other.ada, approval_id, "Yes")
    for reason in ("", "  ", "x" * 1_001):
        with pytest.raises(ValidationFailedError):
            await grant_approval(services, office.ada, approval_id, reason)
    await disable_person(services, office.organization, "ada@example.com")
    with pytest.raises(ForbiddenError, match="account"):
        await grant_approval(services, office.ada, approval_id, "Yes")

    approval = await get_approval(services, office.organization.number, approval_id)
    assert approval.status is ApprovalStatus.PENDING
    assert await office.told("approval.decided") == []


async def test_another_organization_knows_nothing_of_it(office):
    """A key of another organization cannot use an approval, nor find out that it exists."""
    approval_id = await granted(office)
    other = await open_office(office.services, "Globex")

    foreign, invented = await verify(other, approval_id), await verify(other, "apr_none")

    assert (foreign.valid, foreign.reason) == (invented.valid, invented.reason) == (False, Misuse.UNANCHORED)
    assert (await verify(office, approval_id)).valid


async def test_a_stopped_agent_does_not_use_it(office):
    """An agent that was paused since the grant gets no verdict, and the certificate stays unused."""
    registration = Registration(
        agent_id="bot",
        name="Bot",
        type="chatbot",
        platform="custom",
        environment="production",
        autonomy_level=None,
        profile=AgentProfile(),
    )
    agent = await register_agent(office.services, office.key, registration)
    approval_id = await granted(office, agent=agent)
    await set_agent_status(office.services, office.ada, "bot", AgentStatus.PAUSED, "Stop")

    with pytest.raises(ConflictError, match="paused"):
        await verify(office, approval_id)
    await set_agent_status(office.services, office.ada, "bot", AgentStatus.ACTIVE, None)
    assert (await verify(office, approval_id)).valid


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("certificate", "'{certificate}x'", Misuse.TAMPERED),
        ("certificate", "'not a certificate'", Misuse.TAMPERED),
        ("action_digest", "'{other}'", Misuse.TAMPERED),
        ("certificate_expires_at_us", "certificate_expires_at_us + 60000000", Misuse.TAMPERED),
        ("decided_by", "(select id from users where email = 'bob@example.com')", Misuse.TAMPERED),
        ("agent_reference", "'another'", Misuse.TAMPERED),
    ],
)
async def test_a_changed_row_is_found(office, write, column, value, reason):
    """Whoever changes the database cannot widen what was approved."""
    approval_id = await granted(office)
    await office.person("bob@example.com", PersonRole.OWNER)
    approval = await get_approval(office.services, office.organization.number, approval_id)
    value = value.format(certificate=approval.certificate, other=digest_of(OTHER))
    await write(f"update approvals set {column} = {value}")  # noqa: S608 - the test's own words

    for action in (ACTION, OTHER):
        assert (await verify(office, approval_id, action)).reason is reason


async def test_a_forged_approval_has_no_anchor(office, write):
    """An approval that was approved beside the chain is refused, even with a certificate under the right key."""
    waiting = await ask_approval(office.services, office.key)
    approval_id = await granted(office)
    columns = "status, decided_at_us, decided_by, certificate_id, certificate, certificate_expires_at_us"
    source = f"(select {columns} from approvals where id = '{approval_id}')"  # noqa: S608 - the test's own words
    await write(f"update approvals set ({columns}) = {source} where id = '{waiting}'")  # noqa: S608 - the same
    assert (await verify(office, waiting)).reason is Misuse.TAMPERED

    forged = await ask_approval(office.services, office.key)
    await write(f"update approvals set id = 'apr_forged' where id = '{approval_id}'")  # noqa: S608 - the same
    await write(f"update approvals set id = '{approval_id}' where id = '{forged}'")  # noqa: S608 - the same
    assert (await verify(office, "apr_forged")).reason is Misuse.TAMPERED
    assert (await verify(office, approval_id)).reason is Misuse.UNANCHORED


async def test_a_certificate_outside_the_chain_is_unanchored(office, monkeypatch):
    """A certificate signed with the installation's own key counts only where the chain has its digest."""
    approval_id = await ask_approval(office.services, office.key)
    commit = office.services.store.commit

    async def without_certificate(write_):
        events = [new for new in write_.events if new.event.kind != "certificate.issued"]
        return await commit(Write(checks=write_.checks, charges=write_.charges, calls=write_.calls, events=events))

    monkeypatch.setattr(office.services.store, "commit", without_certificate)
    await grant_approval(office.services, office.ada, approval_id, "Beside the chain")
    monkeypatch.undo()

    assert (await verify(office, approval_id)).reason is Misuse.UNANCHORED


async def test_processes_agree_on_the_signing_key(office, others, read):
    """Several processes that need the key first at the same moment end up with one."""
    everyone = [office.services, *others]
    signers = await asyncio.gather(*(open_signer(services) for services in everyone for _ in range(3)))
    claims = (await open_signer(office.services)).open
    certificate = (await verify(office, await granted(office))).certificate

    assert claims(certificate) is not None
    assert all(signer.open(certificate) is not None for signer in signers)
    [(sealed,)] = await read(f"select sealed from sealed_secrets where name = '{SIGNING_KEY}'")  # noqa: S608 - the same
    assert b'"d"' not in bytes(sealed)
