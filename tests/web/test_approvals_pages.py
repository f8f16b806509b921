"""The queue of approvals over HTTP: a policy asks, a person decides, the SDK's poll sees it."""

from itertools import count

import pytest

_NUMBERS = count(1)
POLICY = {
    "name": "Refunds need a person",
    "policyType": "action_approval",
    "enforcementMode": "require_approval",
    "ruleDefinition": {"tools": ["refund"]},
}


@pytest.fixture(scope="module", autouse=True)
def policy(platform) -> None:
    """A policy that asks a person."""
    assert platform.server.admin.post("/api/v1/policies", POLICY).status == 201


@pytest.fixture
def waiting(platform) -> str:
    """The id of an approval that waits."""
    said = {"input": f"refund order <b>{next(_NUMBERS)}</b>", "tools": ["refund"], "estimatedCost": 1.5}
    answer = platform.server.agent.enforce("refund-bot", **said)
    assert answer.status == 202, answer.body
    found = platform.server.admin.get("/api/v1/approvals?status=pending").data
    return found[0]["id"]


def status_of(platform, approval_id: str) -> tuple[str, str | None]:
    """What the SDK's poll is told."""
    told = platform.server.agent.get(f"/api/v1/approvals/{approval_id}").data
    return told["status"], told["decisionReason"]


def test_it_is_in_the_queue_with_why_it_was_stopped(sign_in, waiting):
    """The tool, the agent, the risk, the policy; a viewer reads it and has nothing to decide with."""
    seen = sign_in("viewer").get("/approvals")

    assert "refund by refund-bot" in seen.said
    assert "Refunds need a person, version 1" in seen.said
    assert f"/approvals/{waiting}" in seen.text
    assert "Review and decide" not in seen.said


def test_an_approver_sees_the_action_and_approves(sign_in, platform, waiting):
    """All of it, escaped; that it was looked at is on record; then the SDK is told, with the reason."""
    approver = sign_in("approver")
    before = approver.get(f"/approvals/{waiting}")

    done = approver.follow(approver.send(f"/approvals/{waiting}/grant", {"reason": "fine"}, of=f"/approvals/{waiting}"))

    assert "&lt;b&gt;" in before.text
    assert "<b>" not in before.text
    assert "Approved. The agent may run this action once" in done.said
    assert "Certificate issued" in done.said
    assert status_of(platform, waiting) == ("approved", "fine")
    kinds = [each["kind"] for each in platform.server.admin.get("/api/v1/audit?limit=200").data]
    assert "trace.content_read" in kinds


def test_an_approver_denies(sign_in, platform, waiting):
    """With the reason that the agent is told."""
    approver = sign_in("approver")

    done = approver.follow(
        approver.send(f"/approvals/{waiting}/deny", {"reason": "too much"}, of=f"/approvals/{waiting}")
    )

    assert "Denied." in done.said
    assert status_of(platform, waiting) == ("denied", "too much")


def test_without_a_reason_nothing_is_decided(sign_in, platform, waiting):
    """The field says so, and it waits on."""
    seen = sign_in("approver").send(f"/approvals/{waiting}/grant", {"reason": " "}, of=f"/approvals/{waiting}")

    assert seen.status == 400
    assert 'id="reason-error"' in seen.text
    assert status_of(platform, waiting)[0] == "pending"


def test_what_somebody_else_decided_is_said(sign_in, platform, waiting):
    """The second of two who decide at once reads that it is decided; the first decision stands."""
    first, second = sign_in("approver"), sign_in("owner")
    token = second.get(f"/approvals/{waiting}").csrf
    first.send(f"/approvals/{waiting}/deny", {"reason": "no"}, of=f"/approvals/{waiting}")

    seen = second.ask("POST", f"/approvals/{waiting}/grant", f"reason=yes&csrf={token}")

    assert seen.status == 409
    assert "can no longer be decided" in seen.said
    assert status_of(platform, waiting) == ("denied", "no")


def test_a_viewer_may_not_decide_and_sees_no_content(sign_in, platform, waiting):
    """Neither the form nor the action is shown, and a form sent all the same is refused."""
    viewer = sign_in("viewer")
    page = viewer.get(f"/approvals/{waiting}")
    refused = viewer.send(f"/approvals/{waiting}/grant", {"reason": "mine"}, of=f"/approvals/{waiting}")

    assert "refund order" not in page.text
    assert "Approve once" not in page.text
    assert refused.status == 403
    assert status_of(platform, waiting)[0] == "pending"


def test_the_history_is_by_status(owner):
    """Each tab shows its own, and a word that is no status shows all."""
    assert "None" in owner.get("/approvals?status=expired").said
    assert "denied" in owner.get("/approvals?status=denied").said
    assert owner.get("/approvals?status=nonsense&offset=-3").status == 200
