"""Policies over HTTP: what is refused and why, versions, tenants, and from when on a change holds."""

import uuid
from typing import Any

import pytest
from harness import Caller, Platform

PATH = "/api/v1/policies"


def body(**more: Any) -> dict[str, Any]:
    """A policy that blocks tools, of an agent of its own."""
    return {
        "name": f"No wiping {uuid.uuid4().hex}",
        "policyType": "access_control",
        "enforcementMode": "block",
        "ruleDefinition": {"denied_tools": ["wipe_*"]},
        "appliesToAgents": [f"agent-{uuid.uuid4().hex}"],
        **more,
    }


@pytest.fixture
def admin(platform: Platform) -> Caller:
    """An administrator."""
    return platform.server.admin


@pytest.fixture(scope="module")
def stranger(platform: Platform) -> Caller:
    """An administrator of another organization on the same server."""
    made = platform.installation.run_json("org", "create", "Globex")
    key = platform.installation.run_json("key", "create", "--org", made["id"], "--role", "admin")
    return platform.server.anyone.with_key(key["apiKey"])


def enforce(platform: Platform, policy: dict[str, Any]) -> int:
    """The answer to the action that the policy is about."""
    return platform.server.agent.enforce(policy["appliesToAgents"][0], tools=["wipe_disk"]).status


class TestCrud:
    def test_what_is_created_is_read_back(self, admin):
        """Everything that was sent comes back, with id, version and times."""
        sent = body(environments=["production"], failureMode="fail_closed", isActive=False, metadata={"owner": "sec"})
        made = admin.post(PATH, sent)

        assert made.status == 201
        rule = sent.pop("ruleDefinition")
        assert {name: made.data[name] for name in sent} == sent
        assert {name: made.data["ruleDefinition"][name] for name in rule} == rule
        assert made.data["id"].startswith("pol_")
        assert made.data["version"] == 1
        assert made.data["createdAt"] == made.data["updatedAt"]
        assert admin.get(f"{PATH}/{made.data['id']}").data == made.data
        assert made.data in admin.get(PATH).data

    def test_put_replaces_and_patch_changes(self, admin):
        """PUT takes the whole policy; PATCH leaves what it does not name; each is a version."""
        made = admin.post(PATH, body(failureMode="fail_closed")).data
        patched = admin.patch(f"{PATH}/{made['id']}", {"enforcementMode": "warn", "isActive": False}).data
        replaced = admin.ask("PUT", f"{PATH}/{made['id']}", body(name="Another " + made["name"])).data

        assert (patched["enforcementMode"], patched["isActive"], patched["version"]) == ("warn", False, 2)
        changed = {"enforcementMode", "isActive", "version", "updatedAt"}
        assert {n: v for n, v in patched.items() if n not in changed} == {
            n: v for n, v in made.items() if n not in changed
        }
        assert (replaced["failureMode"], replaced["version"]) == ("fail_open", 3)

    def test_patch_takes_a_member_as_a_whole(self, admin):
        """A rule definition in a PATCH replaces the old one, and must be whole."""
        made = admin.post(PATH, body()).data
        patched = admin.patch(f"{PATH}/{made['id']}", {"ruleDefinition": {"allowed_tools": ["read"]}}).data
        refused = admin.patch(f"{PATH}/{made['id']}", {"policyType": "cost_limit"})

        assert patched["ruleDefinition"].get("denied_tools", []) == []
        assert refused.status == 400
        assert admin.get(f"{PATH}/{made['id']}").data == patched

    def test_versions_stay_also_of_what_is_deleted(self, admin):
        """Each version tells who made it; a deleted policy answers 404 and keeps its versions."""
        made = admin.post(PATH, body()).data
        path = f"{PATH}/{made['id']}"
        admin.patch(path, {"enforcementMode": "warn"})
        deleted = admin.ask("DELETE", path)
        versions = admin.get(f"{path}/versions").data

        assert deleted.data == {"id": made["id"], "deleted": True}
        assert [(each["version"], each["change"], each["enforcementMode"]) for each in versions] == [
            (3, "deleted", "warn"),
            (2, "changed", "warn"),
            (1, "created", "block"),
        ]
        assert all(each["changedBy"].startswith("key:key_") for each in versions)
        for method, where in (
            ("GET", path),
            ("DELETE", path),
            ("PATCH", path),
            ("PUT", path),
            ("GET", f"{path}/shadow"),
        ):
            answer = admin.ask(method, where, body() if method in {"PUT", "PATCH"} else None)
            assert (answer.status, answer.code) == (404, "NOT_FOUND"), (method, where)

    def test_a_name_is_taken_by_one_policy_at_a_time(self, admin):
        """A name in use is a conflict, on creation and on change; a deleted policy's name is free."""
        first, second = admin.post(PATH, body()).data, admin.post(PATH, body()).data
        taken = [
            admin.post(PATH, body(name=first["name"])),
            admin.patch(f"{PATH}/{second['id']}", {"name": first["name"]}),
        ]
        admin.ask("DELETE", f"{PATH}/{first['id']}")
        free = admin.patch(f"{PATH}/{second['id']}", {"name": first["name"]})

        assert [(each.status, each.code) for each in taken] == [(409, "CONFLICT")] * 2
        assert free.status == 200

    def test_a_validators_secret_is_shown_once(self, admin):
        """The secret comes with the creation, or when a policy becomes a validator, and never again."""
        rule = {"url": "https://validator.example.com/judge"}
        made = admin.post(PATH, body(policyType="custom_validator", ruleDefinition=rule)).data
        path = f"{PATH}/{made['id']}"
        later = [
            admin.get(path).data,
            admin.patch(path, {"enforcementMode": "warn"}).data,
            *admin.get(f"{path}/versions").data,
            *admin.get(PATH).data,
        ]
        other = admin.post(PATH, body()).data
        becomes = admin.patch(f"{PATH}/{other['id']}", {"policyType": "custom_validator", "ruleDefinition": rule}).data

        assert made["validatorSecret"].startswith("evs_")
        assert all("validatorSecret" not in each for each in later)
        assert "validatorSecret" not in other
        assert becomes["validatorSecret"] not in {"", made["validatorSecret"]}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": None}, "name"),
    "a blank name": ({"name": "  "}, "name"),
    "a long name": ({"name": "x" * 201}, "name"),
    "an unknown type": ({"policyType": "custom"}, "policyType"),
    "an unknown mode": ({"enforcementMode": "deny"}, "enforcementMode"),
    "an unknown failure mode": ({"failureMode": "open"}, "failureMode"),
    "agents that are no list": ({"appliesToAgents": "all"}, "appliesToAgents"),
    "environments that are no texts": ({"environments": [1]}, "environments[0]"),
    "active by a text": ({"isActive": "yes"}, "isActive"),
    "an unknown phase": ({"phase": "during"}, "phase"),
    "a phase of another type": (
        {"policyType": "rate_limit", "ruleDefinition": {"max_requests": 1}, "phase": "post"},
        "phase",
    ),
    "an unknown member": ({"somethingNew": 1}, "somethingNew"),
    "much metadata": ({"metadata": {"x": "y" * 5_000}}, "metadata"),
    "an unknown key of the rule": ({"ruleDefinition": {"denied": ["a"]}}, "ruleDefinition.denied"),
    "hours that are none": (
        {"ruleDefinition": {"hours": {"start": "25:00", "end": "06:00"}}},
        "ruleDefinition.hours.start",
    ),
    "a pattern that is none": (
        {"policyType": "injection_scan", "ruleDefinition": {"patterns": ["("]}},
        "ruleDefinition.patterns",
    ),
    "a validator in clear": (
        {"policyType": "custom_validator", "ruleDefinition": {"url": "http://a.example"}},
        "ruleDefinition.url",
    ),
    "no rule where one is needed": ({"policyType": "budget_cap", "ruleDefinition": {}}, "ruleDefinition.cap_usd"),
    "an expression that is none": (
        {"policyType": "expression", "ruleDefinition": {"expression": "nothing_known > 1"}},
        "ruleDefinition.expression",
    ),
}


class TestValidation:
    @pytest.mark.parametrize("name", REFUSED)
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    def test_what_is_wrong_is_named(self, admin, name, method):
        """Each wrong member is refused under its name, by creation, replacement and change alike; nothing is kept."""
        changes, field = REFUSED[name]
        made = admin.post(PATH, body()).data
        sent = changes if method == "PATCH" else body(**changes)
        answer = admin.ask(method, PATH if method == "POST" else f"{PATH}/{made['id']}", sent)

        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
        assert answer.json["error"]["fields"].keys() == {field}
        assert admin.get(f"{PATH}/{made['id']}").data == made

    @pytest.mark.parametrize("sent", [b"", b"[]", b"null", b"{", b'"a"', b"\xff"])
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    def test_what_is_no_policy_at_all_is_refused(self, admin, sent, method):
        """A body that is no JSON object is a 400 in the one shape."""
        made = admin.post(PATH, body()).data
        answer = admin.ask(method, PATH if method == "POST" else f"{PATH}/{made['id']}", sent)

        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
        assert answer.json["error"]["fields"].keys() == {"body"}

    @pytest.mark.parametrize("hours", ["many", "-1", "745", "1e3", ""])
    def test_hours_that_cannot_be_meant_are_named(self, admin, hours):
        """`hours` is a whole number of at most 31 days."""
        made = admin.post(PATH, body()).data
        answer = admin.get(f"{PATH}/{made['id']}/shadow?hours={hours}")

        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
        assert answer.json["error"]["fields"].keys() == {"hours"}


class TestTenants:
    def test_a_foreign_policy_is_not_there(self, admin, stranger, platform):
        """To another organization a policy is a 404 by every method, and changes by it change nothing."""
        made = admin.post(PATH, body()).data
        path = f"{PATH}/{made['id']}"
        answers = [
            *(stranger.get(each) for each in (path, f"{path}/versions", f"{path}/shadow")),
            stranger.ask("PUT", path, body()),
            stranger.patch(path, {"isActive": False}),
            stranger.ask("DELETE", path),
        ]

        assert {(answer.status, answer.code) for answer in answers} == {(404, "NOT_FOUND")}
        assert made["id"] not in {each["id"] for each in stranger.get(PATH).data}
        assert admin.get(path).data == made
        assert enforce(platform, made) == 403

    def test_each_organization_has_its_own_names(self, admin, stranger):
        """The name of a policy of somebody else is free."""
        made = admin.post(PATH, body()).data

        assert stranger.post(PATH, body(name=made["name"])).status == 201


class TestInForce:
    def test_a_change_holds_with_the_very_next_decision(self, admin, platform):
        """Creation, change and deletion each decide the next call, time after time."""
        seen = []
        for _ in range(5):
            made = admin.post(PATH, body()).data
            seen.append(enforce(platform, made))
            admin.patch(f"{PATH}/{made['id']}", {"enforcementMode": "warn"})
            seen.append(enforce(platform, made))
            admin.patch(f"{PATH}/{made['id']}", {"enforcementMode": "block"})
            seen.append(enforce(platform, made))
            admin.ask("DELETE", f"{PATH}/{made['id']}")
            seen.append(enforce(platform, made))

        assert seen == [403, 200, 403, 200] * 5

    def test_shadow_says_what_a_monitor_would_have_done(self, admin, platform):
        """A policy in monitor mode changes no answer and tells afterwards what it saw."""
        made = admin.post(PATH, body(enforcementMode="monitor")).data
        statuses = [enforce(platform, made) for _ in range(3)]
        platform.server.agent.enforce(made["appliesToAgents"][0], tools=["read"])
        shadow = admin.get(f"{PATH}/{made['id']}/shadow?hours=1").data

        assert statuses == [200] * 3
        assert (shadow["policyId"], shadow["matched"], shadow["newlyStopped"]) == (made["id"], 3, 3)
        assert shadow["modes"] == {"monitor": 3}
        assert sum(shadow["rules"].values()) == 3
        assert shadow["complete"] is True
        assert shadow["decisions"] >= 4
        assert len(shadow["examples"]) == 3
        assert admin.get(f"{PATH}/{made['id']}/shadow?hours=0").data["matched"] == 0
