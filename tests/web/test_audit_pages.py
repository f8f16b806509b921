"""The audit chain over HTTP: search, one entry, verification, files."""

import csv
import io
import json
import re

import pytest
from harness import wait_for


@pytest.fixture(scope="module", autouse=True)
def history(platform) -> None:
    """A paused agent, a policy, a trace."""
    platform.server.agent.post("/api/v1/agents", {"agentId": "audited", "name": "=cmd", "type": "chatbot"})
    platform.server.admin.patch("/api/v1/agents/audited/pause", {"reason": "for the record"})
    policy = {"name": "p", "policyType": "access_control", "enforcementMode": "warn"}
    made = platform.server.admin.post("/api/v1/policies", {**policy, "ruleDefinition": {"denied_tools": ["rm"]}})
    assert made.status == 201, made.body
    platform.server.agent.ingest({"traceId": "audited-trace", "agentId": "audited", "status": "success"})


def test_the_newest_entries_come_first_without_batches(owner):
    """Governance, not the roots of every batch; those are shown where they are asked for."""
    numbers = [int(seq) for seq in re.findall(r"/audit/entries/(\d+)", owner.get("/audit").text)]

    assert numbers == sorted(numbers, reverse=True)
    assert "batch.root" not in owner.get("/audit").said.replace("batch.root content", "").partition("Search")[2]
    assert "batch:" in owner.get("/audit?kind=batch.root").said


def test_it_is_searched_by_kind_actor_subject_and_time(owner):
    """Each condition leaves out what does not fit."""
    assert "agent.status_changed" in owner.get("/audit?kind=agent.status_changed").said.partition("Search")[2]
    for query in ("actor=nobody", "subject=nothing", "to=2020-01-01T00:00", "from=2100-01-01T00:00"):
        assert "Nothing fits" in owner.get(f"/audit?{query}").said


def test_a_wrong_time_is_said_at_its_field(owner):
    """With what was typed."""
    seen = owner.get("/audit?from=yesterday&kind=nonsense")

    assert seen.status == 400
    assert 'id="from-error"' in seen.text
    assert 'id="kind-error"' in seen.text


def test_an_entry_shows_its_links(owner):
    """The hash of the entry before is that entry's own hash; one that is not there is a 404."""
    second, first = owner.get("/audit/entries/2").text, owner.get("/audit/entries/1").text

    hashes = re.findall(r"<code>([0-9a-f]{64})</code>", second)
    assert hashes[0] in re.findall(r"<code>([0-9a-f]{64})</code>", first)
    assert owner.get("/audit/entries/99999999").status == 404
    assert owner.get("/audit/entries/-1").status == 404


def test_everything_is_verified_in_the_background(owner):
    """The page follows it and says in the end that everything is as it was recorded."""
    owner.send("/audit/verify")

    said = wait_for(lambda: "Everything is as it was recorded" in owner.get("/audit/verify").said, "a verification")

    assert said


def test_the_files(owner):
    """The signed head, the entries as JSON lines and as CSV which computes nothing, the evidence of a trace."""
    head = json.loads(owner.get("/audit/head").body)
    lines = [json.loads(line) for line in owner.get("/audit/export?format=jsonl").body.splitlines()]
    rows = list(csv.DictReader(io.StringIO(owner.get("/audit/export?format=csv").text)))
    evidence = json.loads(owner.get("/audit/evidence?trace=audited-trace").body)

    assert head["seq"] >= lines[0]["seq"]
    assert {line["kind"] for line in lines} >= {"agent.status_changed", "policy.created"}
    assert len(rows) >= len(lines)
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert "audited-trace" in json.dumps(evidence)


def test_who_may_not_read_it(sign_in):
    """A viewer sees no page of it."""
    viewer = sign_in("viewer")

    for path in ("/audit", "/audit/verify", "/audit/head", "/audit/export", "/audit/evidence?trace=audited-trace"):
        assert viewer.get(path).status == 403
