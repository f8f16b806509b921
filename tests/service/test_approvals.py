"""Approvals over HTTP, on the command line, and as the published SDK waits for them and verifies them."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from execlave.errors import ApprovalTimeoutError, CertificateMismatchError, PolicyDeniedError
from harness import Answer, Caller, Platform, assert_failed, start_platform, wait_for

from approvals import ACTION, ask_approval, digest_of
from execlave_server.actions.services import Services
from execlave_server.app.installation import open_services
from execlave_server.clock import SystemClock
from execlave_server.settings import load_settings
from postgres_server import read_rows

PASSWORD = "correct horse battery"
ADA = "ada@approvals.example"


def ask(platform: Platform, action: dict[str, Any] = ACTION) -> str:
    """An approval that an enforce call would have asked for."""
    settings = load_settings(platform.installation.environment)

    async def run() -> str:
        async with open_services(settings, SystemClock()) as services:
            return await _ask(services)

    async def _ask(services: Services) -> str:
        key = await services.keys.identify(platform.installation.api_key)
        return await ask_approval(services, key, action=action)

    return asyncio.run(run())


def told(platform: Platform, approval_id: str) -> list[str]:
    """The kinds of the audit entries about an approval, in order."""
    sql = f"select kind from audit_entries where subject = 'approval:{approval_id}' order by seq"  # noqa: S608 - an id
    return [str(kind) for (kind,) in rows(platform, sql)]


def rows(platform: Platform, sql: str) -> list[tuple[Any, ...]]:
    """Read the database, or change it as only a test may."""
    url = platform.installation.environment.get("EXECLAVE_SERVER_DATABASE_URL")
    return asyncio.run(read_rows(url, sql)) if url else platform.installation.rows(sql)


def let_expire(platform: Platform, approval_id: str) -> None:
    """Move an approval's end into the past."""
    rows(platform, f"update approvals set expires_at_us = 1 where id = '{approval_id}'")  # noqa: S608 - an id


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def platform(request, tmp_path_factory) -> Iterator[Platform]:
    """A server of this module's own on each engine."""
    postgres = request.param == "postgres"
    settings = {"database_url": request.getfixturevalue("postgres").new_database()} if postgres else {}
    with start_platform(tmp_path_factory.mktemp(f"approvals-{request.param}"), **settings) as started:
        yield started


@pytest.fixture(scope="module")
def ada(platform: Platform) -> Iterator[Caller]:
    """An approver, signed in."""
    platform.installation.run_json("user", "add", ADA, "--role", "approver", "--name", "Ada", stdin=PASSWORD)
    answer = platform.server.anyone.post("/api/v1/auth/login", {"email": ADA, "password": PASSWORD})
    yield platform.server.anyone.with_key(answer.data["token"])
    platform.installation.run("user", "disable", ADA)


def decide(caller: Caller, approval_id: str, verb: str, reason: Any = "Ticket 4711") -> Answer:
    """Grant or deny."""
    return caller.post(f"/api/v1/approvals/{approval_id}/{verb}", {"reason": reason})


class TestWaiting:
    def test_the_sdk_sees_it_wait(self, platform, ada):
        """An agent's key sees status and routing, and nothing of the action; who decides sees all of it."""
        approval_id = ask(platform)
        seen = platform.server.agent.get(f"/api/v1/approvals/{approval_id}").data
        by_person = ada.get(f"/api/v1/approvals/{approval_id}").data
        by_admin = platform.server.admin.get(f"/api/v1/approvals/{approval_id}").data

        assert (seen["status"], seen["decisionReason"]) == ("pending", None)
        assert (seen["riskScore"], seen["riskLevel"], seen["routedTo"]) == (75, "critical", "named_approver")
        assert (seen["escalationLevel"], seen["escalatedAt"]) == (0, None)
        assert seen.keys().isdisjoint({"actionContext", "violations", "decidedBy"})
        assert by_person["actionContext"] == by_admin["actionContext"] == ACTION
        assert by_person["violations"][0]["policyName"] == "Refunds"

    def test_an_unknown_one_is_answered_200(self, platform):
        """An approval that is not there is never leave to act: expired, with the reason, and still 200."""
        answer = platform.server.agent.get("/api/v1/approvals/apr_none")

        assert answer.status == 200
        assert answer.data["status"] == "expired"
        assert "no approval" in answer.data["decisionReason"]

    def test_people_and_admins_list_them(self, platform, ada):
        """The list is newest first, filtered by the status that holds now, and not for agents."""
        first, second = ask(platform), ask(platform)
        decide(ada, first, "deny")
        pending = [each["id"] for each in ada.get("/api/v1/approvals?status=pending&limit=200").data]
        listed = platform.server.admin.get("/api/v1/approvals?limit=2")
        wrong = ada.get("/api/v1/approvals?status=maybe")

        assert second in pending
        assert first not in pending
        assert [each["id"] for each in listed.data] == [second, first]
        assert listed.json["meta"]["total"] >= 2
        assert (wrong.status, wrong.code) == (400, "VALIDATION_ERROR")
        assert platform.server.agent.get("/api/v1/approvals").status == 403

    def test_it_expires_and_the_chain_says_so_once(self, platform, ada):
        """When its time is over it is expired at once, can no longer be decided, and the server records it once."""
        approval_id = ask(platform)
        let_expire(platform, approval_id)

        assert platform.server.agent.get(f"/api/v1/approvals/{approval_id}").data["status"] == "expired"
        assert decide(ada, approval_id, "grant").status == 409
        wait_for(lambda: told(platform, approval_id) == ["approval.requested", "approval.expired"], "the sweep")


class TestDeciding:
    def test_a_grant_and_its_one_use(self, platform, ada):
        """Granted by a person, verified once, refused the second time, and all of it in the chain."""
        approval_id = ask(platform)
        path = f"/api/v1/approvals/{approval_id}/verify"
        early = platform.server.agent.post(path, {"actionContext": ACTION}).data
        granted = decide(ada, approval_id, "grant").data
        first = platform.server.agent.post(path, {"actionContext": ACTION}).data
        second = platform.server.agent.post(path, {"actionContext": ACTION}).data

        assert (early["valid"], early["reason"]) == (False, "certificate_unanchored")
        assert (granted["status"], granted["decisionReason"]) == ("approved", "Ticket 4711")
        assert granted["decidedBy"]["email"] == ADA
        assert first["valid"] is True
        assert first["certificate"].count(".") == 2
        assert second == {"valid": False, "reason": "certificate_already_used", "verifiedAt": second["verifiedAt"]}
        assert told(platform, approval_id) == [
            *("approval.requested", "approval.misused", "approval.decided", "certificate.issued"),
            *("approval.verified", "approval.misused"),
        ]

    @pytest.mark.parametrize("verb", ["grant", "deny"])
    def test_it_is_decided_once(self, platform, ada, verb):
        """A second decision is a conflict, whatever it says."""
        approval_id = ask(platform)
        assert decide(ada, approval_id, verb).status == 200

        for again in ("grant", "deny"):
            answer = decide(ada, approval_id, again)
            assert (answer.status, answer.code) == (409, "CONFLICT")

    @pytest.mark.parametrize("reason", ["", "   ", None, 7, "x" * 1_001])
    def test_a_decision_needs_a_reason(self, platform, ada, reason):
        """Without a reason nothing is decided."""
        approval_id = ask(platform)
        answer = decide(ada, approval_id, "grant", reason)

        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
        assert ada.get(f"/api/v1/approvals/{approval_id}").data["status"] == "pending"

    def test_an_unknown_one_cannot_be_decided(self, ada):
        """There is nothing to grant by an id that is not there."""
        assert decide(ada, "apr_none", "grant").status == 404

    @pytest.mark.parametrize("body", [{}, {"actionContext": 7}, {"actionContext": None}, b"{", b"[]"])
    def test_a_verification_that_cannot_be_read(self, platform, body):
        """A body without an action is a 400, which the SDK takes for a refusal."""
        assert platform.server.agent.post("/api/v1/approvals/apr_none/verify", body).status == 400

    def test_a_large_action_is_bound_too(self, platform, ada):
        """Adapters put whole requests into metadata: megabytes are bound to the last byte."""
        action = {**ACTION, "metadata": {"chainInputs": "x" * 2_000_000}}
        approval_id = ask(platform, action)
        decide(ada, approval_id, "grant")
        path = f"/api/v1/approvals/{approval_id}/verify"
        other = {**action, "metadata": {"chainInputs": "x" * 1_999_999 + "y"}}

        assert platform.server.agent.post(path, {"actionContext": other}).data["reason"] == "action_context_mismatch"
        assert platform.server.agent.post(path, {"actionContext": action}).data["valid"] is True

    @pytest.mark.parametrize(
        "action", [ACTION, {"input": "x", "environment": "e"}, {**ACTION, "metadata": {"b": 1, "a": [None]}}]
    )
    def test_enforce_and_verify_digest_alike(self, platform, action):
        """What enforce binds is what verify compares, whatever else the enforce call says."""
        decided = platform.server.agent.post(
            "/api/v1/policies/enforce", {"agentId": "nobody", "toolOutputs": [], **action}
        )
        decision_id = decided.json["decisionId"]
        bound = rows(platform, f"select action_digest from decisions where id = '{decision_id}'")  # noqa: S608 - an id

        assert bound == [(digest_of(action),)]


class TestCommands:
    def test_a_person_decides_on_the_machine(self, platform, ada):
        """`approval grant` and `deny` ask for the person's password or session, and are recorded as his."""
        installation = platform.installation
        first, second = ask(platform), ask(platform)
        arguments = ["--as", ADA, "--reason", "By command"]
        wrong = installation.run("approval", "grant", first, *arguments, stdin="wrong\n")
        granted = installation.run_json("approval", "grant", first, *arguments, stdin=PASSWORD)
        token = ada.headers["Authorization"].removeprefix("Bearer ")
        other = installation.run("approval", "deny", second, "--as", "x@y.example", "--reason", "x", stdin=token)
        denied = installation.run("approval", "deny", second, *arguments, stdin=token)
        listed = {each["id"]: each["status"] for each in installation.run_json("approval", "list")}

        assert_failed(wrong, "SIGN_IN_FAILED")
        assert_failed(other, "SESSION_ENDED", "x@y.example")
        assert (granted["status"], granted["decisionReason"]) == ("approved", "By command")
        assert denied.stdout == f"{second}  denied\n"
        assert (listed[first], listed[second]) == ("approved", "denied")
        assert ada.get(f"/api/v1/approvals/{second}").data["decidedBy"]["email"] == ADA


class TestSdk:
    """The SDK's own waiting and verifying, as `enforce_policy` calls them after a 202."""

    def test_granted(self, platform, ada):
        """The SDK lets the action run, with the certificate."""
        approval_id = ask(platform)
        decide(ada, approval_id, "grant")
        with platform.sdk() as client:
            result = client._poll_approval_decision(approval_id, ACTION)

        assert (result["allowed"], result["approvalRequestId"]) == (True, approval_id)
        assert result["certificate"].count(".") == 2

    def test_denied(self, platform, ada):
        """The SDK raises with the person's reason."""
        approval_id = ask(platform)
        decide(ada, approval_id, "deny", "Not today")
        with platform.sdk() as client, pytest.raises(PolicyDeniedError, match="Not today"):
            client._poll_approval_decision(approval_id, ACTION)

    @pytest.mark.parametrize("known", [True, False])
    def test_expired_or_never_there(self, platform, known):
        """The SDK takes an expired approval, and one that does not exist, for a refusal."""
        approval_id = ask(platform) if known else "apr_none"
        let_expire(platform, approval_id)
        with platform.sdk() as client, pytest.raises(ApprovalTimeoutError):
            client._poll_approval_decision(approval_id, ACTION)

    def test_misused(self, platform, ada):
        """The SDK refuses another action than the approved one, and the approved one the second time."""
        approval_id = ask(platform)
        decide(ada, approval_id, "grant")
        with platform.sdk() as client:
            with pytest.raises(CertificateMismatchError, match="action_context_mismatch"):
                client._poll_approval_decision(approval_id, {**ACTION, "input": "another"})
            assert client.verify_approval(approval_id, ACTION)["valid"] is True
            with pytest.raises(CertificateMismatchError, match="certificate_already_used"):
                client._poll_approval_decision(approval_id, ACTION)
