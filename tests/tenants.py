"""Two organizations on one server. The first has one of everything; what it is called has a mark in it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from harness import DATADOG_KEY, Caller, Platform, wait_for

from visitor import PASSWORD, Visitor, forgive_attempts

MARK = "quokka"  # in every name and text of the first organization, in no id that the second one sends
OURS, THEIRS = "ada@ours.example", "eve@theirs.example"
BLOCKS = {
    "name": f"{MARK} wipes nothing",
    "policyType": "access_control",
    "enforcementMode": "block",
    "ruleDefinition": {"denied_tools": ["wipe_disk"]},
}
ASKS = {
    "name": f"{MARK} asks first",
    "policyType": "action_approval",
    "enforcementMode": "require_approval",
    "ruleDefinition": {"tools": ["refund"]},
}
BUDGET = {"scope": "agent", "scopeId": f"{MARK} payer", "window": "1d", "capUsd": 5.0, "action": "block"}


@dataclass(frozen=True)
class Tenant:
    """An organization as its people and programs reach it."""

    organization: str
    api: Caller  # with an admin key
    person: Caller  # an owner's session
    visitor: Visitor  # the same owner in a browser


@dataclass(frozen=True)
class Tenants:
    """`names` says what is in the first one; `unknown` has for each of them one of the same form that nobody has."""

    ours: Tenant
    theirs: Tenant
    names: dict[str, str]

    @property
    def unknown(self) -> dict[str, str]:
        """Names of nothing."""
        return {name: _like(value) for name, value in self.names.items()}


def _like(text: str) -> str:
    """Another name of the same form: what it begins with and how long it is stay."""
    if text.isdigit():
        return str(int(text) + 1_000_000)
    head, mark, rest = text.rpartition("_") if "_" in text else ("", "", text)
    return head + mark + re.sub(r"[0-9a-f]", lambda hit: "0" if hit[0] != "0" else "1", rest)


def filled(value: Any, names: dict[str, str]) -> Any:
    """A value with the names in its braces filled in, however deep they stand."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda hit: names[hit[1]], value)
    if isinstance(value, dict):
        return {filled(key, names): filled(each, names) for key, each in value.items()}
    return [filled(each, names) for each in value] if isinstance(value, list) else value


def found_tenants(platform: Platform) -> Tenants:
    """Make both, and everything in the first."""
    installation = platform.installation
    other = installation.run_json("org", "create", "Theirs")["id"]
    key = installation.run_json("key", "create", "--org", other, "--role", "admin")["apiKey"]
    tenants = []
    for organization, email, admin_key in (
        (installation.organization_id, OURS, installation.admin_key),
        (other, THEIRS, key),
    ):
        name = f"{MARK} keeper" if email == OURS else "Eve"
        added = ("user", "add", email, "--org", organization, "--role", "owner", "--name", name)
        installation.run_json(*added, stdin=PASSWORD + "\n")
        tenants.append(_tenant(platform, organization, email, admin_key))
    ours, theirs = tenants
    names: dict[str, str] = {}
    _add_agents(ours, names)
    _add_rules(ours, names)
    _add_people(platform, ours, names)
    _add_traces(platform, ours, names)
    _add_approvals(ours, names)
    return Tenants(ours, theirs, names)


def _tenant(platform: Platform, organization: str, email: str, admin_key: str) -> Tenant:
    forgive_attempts(platform)
    visitor = Visitor(platform.server.url)
    assert visitor.sign_in(email, PASSWORD).status == 303
    token = platform.server.anyone.post("/api/v1/auth/login", {"email": email, "password": PASSWORD}).data["token"]
    anyone = platform.server.anyone
    return Tenant(organization, anyone.with_key(admin_key), anyone.with_key(token), visitor)


def _add_agents(ours: Tenant, names: dict[str, str]) -> None:
    for name in ("bot", "helper", "bound"):
        names[name] = f"bot-{name}-a1"
        body = {"agentId": names[name], "name": f"{MARK} {name}", "type": "custom", "environment": "production"}
        names[f"{name}_id"] = ours.api.post("/api/v1/agents", body).data["id"]
    at = f"/api/v1/agents/{names['bot']}"
    ours.api.post(f"{at}/versions", {"versionLabel": f"{MARK} release", "activate": True})
    pinned = [{"server": MARK, "tool": "mail", "descriptorHash": "a" * 64}]
    assert ours.api.post(f"/api/v1/tool-integrity/agents/{names['bot']}/baseline", {"descriptors": pinned}).status < 300
    for name in ("provider", "provider_gone"):
        body = {"tenantId": f"{MARK} {name}", "audience": f"{MARK} audience"}
        names[name] = ours.api.post("/api/v1/identity-providers", body).data["id"]
    binding = {"providerId": names["provider"], "subject": f"{MARK} subject"}
    bound = f"/api/v1/agents/{names['bound']}/identity-binding"  # what it sends has to be signed from now on
    assert ours.api.ask("PUT", bound, binding).status < 300
    grant = {"calleeAgentId": names["helper"], "allowedActions": ["read"]}
    names["grant"] = ours.api.post(f"{at}/grants", grant).data["id"]


def _add_rules(ours: Tenant, names: dict[str, str]) -> None:
    names["policy"] = ours.api.post("/api/v1/policies", BLOCKS).data["id"]
    names["policy_asks"] = ours.api.post("/api/v1/policies", ASKS).data["id"]
    idle = {**BLOCKS, "ruleDefinition": {"denied_tools": ["nothing"]}}
    for name in ("policy_gone", "policy_left"):
        names[name] = ours.api.post("/api/v1/policies", {**idle, "name": f"{MARK} {name}"}).data["id"]
    for number, name in enumerate(("budget", "budget_gone", "budget_left")):
        terms = {**BUDGET, "scopeId": f"{MARK} payer {number}"}
        names[name] = ours.api.post("/api/v1/cost-budget-rules", terms).data["id"]
    names["destination"] = ours.api.get("/api/v1/integrations").data[0]["id"]
    draft = {"name": f"{MARK} draft", "site": "sandbox", "apiKey": DATADOG_KEY, "service": MARK}
    names["draft"] = ours.api.post("/api/v1/integrations", draft).data["id"]


def _add_people(platform: Platform, ours: Tenant, names: dict[str, str]) -> None:
    installation = platform.installation
    added = ("user", "add", f"{MARK}@ours.example", "--role", "viewer", "--name", f"{MARK} viewer")
    names["person"] = installation.run_json(*added, stdin=PASSWORD + "\n")["id"]
    names["key"] = installation.run_json("key", "create", "--name", f"{MARK} key")["id"]
    invited = ours.visitor.send("/settings/members/invite", {"email": f"new-{MARK}@ours.example", "role": "viewer"})
    names["invite_token"] = re.findall(r"/invite/([\w-]+)", invited.text)[0]
    members = ours.visitor.get("/settings/members").text
    names["invitation"] = re.findall(r"/settings/members/invitations/([\w-]+)/withdraw", members)[0]
    forgive_attempts(platform)
    other_browser = Visitor(platform.server.url)
    other_browser.sign_in(OURS, PASSWORD)
    here = ours.visitor.get("/settings/sessions").text
    sessions = set(re.findall(r"/settings/sessions/([0-9a-f]+)/end", here))
    mine = re.findall(r"this one.*?/settings/sessions/([0-9a-f]+)/end", here, re.DOTALL)[0]
    names["session"] = min(sessions - {mine})


def _add_traces(platform: Platform, ours: Tenant, names: dict[str, str]) -> None:
    names["trace"], names["trace_calm"] = "trace-a1b2", "trace-c3d4"
    said = {
        "agentId": names["bot"],
        "status": "success",
        "environment": "production",
        "input": f"{MARK} input",
        "output": f"{MARK} output",
    }
    spans = {"metadata": {"spanId": "s1", "spanName": f"{MARK} span"}}
    taken = ours.api.ingest(*({"traceId": names[name], **said, **spans} for name in ("trace", "trace_calm")))
    assert taken.status == 202, taken.body
    platform.server.wait_until_delivered()
    platform.sandbox.fail({"status": 400, "contains": f"{MARK} refused", "times": None})
    parked = {"metadata": {"spanId": "s2", "spanName": f"{MARK} refused"}}
    ours.api.ingest({"traceId": names["trace"], **said, **parked})
    found = wait_for(lambda: ours.api.get("/api/v1/deliveries/parked").data, "a parked log")
    names["parked"] = str(found[0]["id"])
    blocked = ours.api.enforce(names["bot"], tools=["wipe_disk"], environment="production")
    assert blocked.status == 403, blocked.body
    incident = wait_for(lambda: ours.api.get("/api/v1/incidents").data, "an incident")
    names["incident"] = incident[0]["id"]
    resolution = {"resolvedStatus": "success", "basis": "manual", "detail": f"{MARK} detail"}
    answer = ours.api.post(f"/api/v1/traces/{names['trace']}/resolutions", resolution)
    assert answer.status == 201, answer.body


def _add_approvals(ours: Tenant, names: dict[str, str]) -> None:
    for number, name in enumerate(("waiting", "granted", "denied", "granted_there", "denied_there")):
        action = {"input": f"{MARK} refund {number}", "tools": ["refund"], "environment": "production"}
        asked = ours.api.post("/api/v1/policies/enforce", {"agentId": names["bot"], **action})
        assert asked.status == 202, asked.body
        names[f"approval_{name}"] = json.loads(asked.body)["approvalRequestId"]
