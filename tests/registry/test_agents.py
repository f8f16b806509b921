"""Releases, pinned tools, outcome strictness and usage."""

import asyncio
import json

from execlave_server.actions.manage_people import add_person, disable_person
from execlave_server.actions.pin_tools import baseline_of
from execlave_server.model.people import PersonRole
from execlave_server.model.secret import Secret
from policies import body_of


def pin(tool: str, digit: str = "a", **more: str) -> dict[str, str]:
    """A tool's descriptor as the SDK sends it."""
    return {"server": "mail", "tool": tool, "descriptorHash": digit * 64, **more}


class TestVersions:
    async def test_releases_are_numbered_and_one_is_active(self, node):
        """Each report is the next number; the newest that was to be activated is the active one."""
        agent = await node.register()
        path = f"/agents/{agent['id']}/versions"
        said = {"versionLabel": "v2", "notes": "calmer", "metadata": {"gitCommit": "abc", "deployedAt": "2026-01-01"}}
        made = [
            await node.ask("POST", path, {"activate": True}),
            await node.ask("POST", path, {"activate": True, **said}),
            await node.ask("POST", path, {"activate": False}),
        ]
        listed = (await node.ask("GET", f"/agents/{agent['agentId']}/versions")).data

        assert [answer.status for answer in made] == [201] * 3
        assert [(each["versionNumber"], each["isActive"]) for each in listed] == [(3, False), (2, True), (1, False)]
        assert {name: listed[1][name] for name in said} == said

    async def test_reports_at_the_same_moment_get_numbers_of_their_own(self, node):
        """Nobody's report is lost, and exactly one is active."""
        agent = await node.register()
        path = f"/agents/{agent['id']}/versions"
        await asyncio.gather(*(node.ask("POST", path, {"activate": True}) for _ in range(6)))
        listed = (await node.ask("GET", path)).data

        assert [each["versionNumber"] for each in listed] == [6, 5, 4, 3, 2, 1]
        assert sum(each["isActive"] for each in listed) == 1

    async def test_what_is_not_valid_is_refused(self, node):
        """Limits on everything; an unknown agent is not found."""
        agent = await node.register()
        for body in (
            {"versionLabel": ""},
            {"versionLabel": "x" * 129},
            {"notes": "x" * 4_001},
            {"metadata": "text"},
            {"metadata": {"a": "x" * 16_000}},
        ):
            assert (await node.ask("POST", f"/agents/{agent['id']}/versions", body)).code == "VALIDATION_ERROR", body
        assert (await node.ask("POST", "/agents/nobody/versions", {})).status == 404


class TestBaseline:
    async def test_the_newest_set_of_pins_holds(self, node):
        """A new set takes the place of the old one whole; the policy engine reads it by server and tool."""
        agent = await node.register()
        path = f"/tool-integrity/agents/{agent['agentId']}/baseline"
        none = await baseline_of(node.services, node.organization.number, agent["id"])
        missing = await node.ask("GET", path)
        await node.ask("POST", path, {"descriptors": [pin("send"), pin("read")], "reason": "manual"})
        second = await node.ask(
            "POST",
            path,
            {"descriptors": [pin("send", "b", descriptionHash="c" * 64)], "reason": "baseline_update"},
        )
        held = await baseline_of(node.services, node.organization.number, agent["id"])
        elsewhere = await baseline_of(node.services, node.organization.number + 1, agent["id"])

        assert none == elsewhere == {}
        assert missing.code == "NOT_FOUND"
        assert second.status == 201
        assert (await node.ask("GET", path)).data == second.data
        assert second.data["descriptors"] == [pin("send", "b", descriptionHash="c" * 64)]
        assert second.data["baselineNumber"] == 2
        assert held == {("mail", "send"): "b" * 64}
        assert [details["names"] for _, details in await node.entries("settings.changed")] == [["toolBaseline"]] * 2

    async def test_what_is_not_valid_is_refused(self, node):
        """A pin is a server, a tool and a SHA-256, each tool once, a thousand at the most."""
        agent = await node.register()
        for body in (
            {},
            {"descriptors": [pin("send", "g")]},
            {"descriptors": [{"server": "mail", "tool": "send"}]},
            {"descriptors": [pin("send"), pin("send", "b")]},
            {"descriptors": [pin("")]},
            {"descriptors": [pin(f"t{number}") for number in range(1_001)]},
            {"descriptors": [], "reason": "whim"},
        ):
            answer = await node.ask("POST", f"/tool-integrity/agents/{agent['id']}/baseline", body)
            assert (answer.status, answer.code) == (400, "VALIDATION_ERROR"), body


class TestStrictness:
    async def test_a_strict_agent_proves_its_successes(self, node):
        """Without evidence that was read back or reported, its success is refused by name; everything else is kept."""
        agent = await node.register()
        patched = await node.admin("PATCH", f"/agents/{agent['id']}", {"outcomeStrictness": "strict"})

        async def send(status="success", **evidence):
            item = {"traceId": node.services.clock.uuid(), "status": status, "agentId": agent["agentId"]}
            if evidence:
                item["effectEvidence"] = evidence
            answer = await node.ask("POST", "/traces/ingest", {"traces": [item]})
            return answer.status, [error["code"] for error in answer.json["errors"]]

        refused = (400, ["OUTCOME_EVIDENCE_REQUIRED"])
        assert patched.data["outcomeStrictness"] == "strict"
        assert await send() == refused
        assert await send(basis="acknowledgement", acknowledgementId="a") == refused
        assert await send(basis="read_back") == refused
        assert await send(basis=7, effectRef="x") == refused
        assert await send(basis="read_back", effectRef="order/7") == (202, [])
        assert await send(basis="callback", acknowledgementId="a") == (202, [])
        for status in ("error", "effect_unconfirmed", "policy_blocked"):
            assert await send(status) == (202, [])
        await node.admin("PATCH", f"/agents/{agent['id']}", {"outcomeStrictness": "standard"})
        assert await send() == (202, [])

    async def test_it_costs_nobody_else_a_trace(self, node):
        """In one request the strict agent's unproven success is refused, and its neighbours are stored."""
        strict, other = await node.register(), await node.register()
        await node.admin("PATCH", f"/agents/{strict['id']}", {"outcomeStrictness": "strict"})
        items = [
            {"traceId": f"t{number}", "status": "success", "agentId": agent}
            for number, agent in enumerate((strict["agentId"], other["agentId"], "nobody"))
        ]
        answer = await node.ask("POST", "/traces/ingest", {"traces": items})

        assert (answer.status, answer.json["accepted"], answer.json["failed"]) == (202, 2, 1)
        assert answer.json["errors"][0]["traceId"] == "t0"

    async def test_only_an_administrator_changes_it(self, node):
        """An agent does not choose what it is held to, by registering anew or otherwise."""
        agent = await node.register()
        await node.admin("PATCH", f"/agents/{agent['id']}", {"outcomeStrictness": "strict"})
        refused = await node.ask("PATCH", f"/agents/{agent['id']}", {"outcomeStrictness": "standard"})
        again = await node.register(agent["agentId"])
        wrong = await node.admin("PATCH", f"/agents/{agent['id']}", {"outcomeStrictness": "lax"})

        assert refused.status == 403
        assert again["outcomeStrictness"] == "strict"
        assert wrong.code == "VALIDATION_ERROR"


async def test_usage_counts_and_limits_nothing(node):
    """What there is now, under the names the SDK reads, and no limit that could be reached."""
    await node.register()
    await node.ask("POST", "/traces/ingest", {"traces": [{"traceId": "t", "status": "success"}]})
    policies = [
        (await node.admin("POST", "/policies", json.loads(body_of("rate_limit", name=name)))).data["id"]
        for name in ("stays", "goes")
    ]
    await node.admin("DELETE", f"/policies/{policies[1]}")
    for number in range(3):
        person = await add_person(
            node.services,
            node.organization,
            email=f"p{number}@example.com",
            name="",
            role=PersonRole.VIEWER,
            password=Secret("correct horse battery"),
        )
    await disable_person(node.services, node.organization, person.email)
    usage = (await node.ask("GET", "/billing/usage")).data

    assert usage["plan"] == "self-hosted"
    assert usage["usage"]["agents"]["current"] == usage["usage"]["traces"]["current"] == 1
    assert (usage["usage"]["users"]["current"], usage["usage"]["policies"]["current"]) == (2, 1)
    assert usage["usage"].keys() == {"agents", "traces", "users", "policies"}
    assert all(each["max"] > 10**15 for each in usage["usage"].values())
