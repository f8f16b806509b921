"""An example of each route of the server, for whoever wants to call them all. A new route needs a line here.

Braces stand for things of one organization (`tenants.Tenants.names`); a path or body without any is about the caller's
own things.
"""

import re
from dataclasses import dataclass
from typing import Any

REASON = {"reason": "the example of a reason"}
POLICY = {
    "name": "an example",
    "policyType": "access_control",
    "enforcementMode": "monitor",
    "ruleDefinition": {"denied_tools": ["no such tool"]},
}
BUDGET = {"scope": "org", "window": "1mo", "capUsd": 900.0, "action": "warn"}
DRAFT = {"name": "an example", "site": "datadoghq.eu", "apiKey": "0" * 32}
FORM = {**{key: POLICY[key] for key in ("name", "policyType", "enforcementMode")}, "failureMode": "fail_open"}
BUDGET_FORM = {"scope": "org", "window": "1mo", "capUsd": "900", "action": "warn"}
PERIOD = {"from": "2026-01-01T00:00:00Z"}
RESOLUTION = {"resolvedStatus": "success", "basis": "manual"}


@dataclass(frozen=True)
class Example:
    """How to call a route. `foreign` is what somebody is answered who names a thing that is not his, or not at all.

    `person`: only for people. `shows`: its owner's answer has something in it that nobody else may read.
    """

    path: str
    body: Any = None
    foreign: int = 404
    person: bool = False
    shows: bool = False

    @property
    def names_something(self) -> bool:
        """Whether it is about one thing of an organization."""
        return re.search(r"\{\w+\}", f"{self.path} {self.body}") is not None


_AGENT, _TRACE, _INCIDENT = "/agents/{bot}", "/traces/{trace}", "/incidents/{incident}"
_APPROVAL = "/approvals/{approval_waiting}"
_WINDOW = {
    "windowId": "0d2f9f0e-54b5-4c0c-9d3a-6d2f4b0d7a11", "agentId": "{bot}", "source": "example",
    "reason": "network_error", "firstAt": "2026-01-01T00:00:00Z", "lastAt": "2026-01-01T00:00:01Z", "count": 1,
}  # fmt: skip

API: dict[str, Example] = {
    "GET /agents": Example("/agents", shows=True),
    "POST /agents": Example("/agents", {"agentId": "an-example", "name": "An example", "type": "custom"}),
    "POST /agents/authorize": Example(
        "/agents/authorize", {"callerAgentId": "{bot}", "calleeAgentId": "{helper}", "action": "read"}, 403
    ),
    "GET /agents/discover": Example("/agents/discover?callerAgentId={bot}", foreign=200),
    "GET /agents/{agent:path}/status-poll": Example(f"{_AGENT}/status-poll"),
    "POST /agents/{agent:path}/heartbeat": Example(f"{_AGENT}/heartbeat", {}),
    "PATCH /agents/{agent:path}/pause": Example(f"{_AGENT}/pause", REASON),
    "PATCH /agents/{agent:path}/resume": Example(f"{_AGENT}/resume", REASON),
    "POST /agents/{agent:path}/credential": Example(f"{_AGENT}/credential", {}),
    "GET /agents/{agent:path}/versions": Example(f"{_AGENT}/versions", shows=True),
    "POST /agents/{agent:path}/versions": Example(f"{_AGENT}/versions", {"versionLabel": "an example"}),
    "GET /agents/{agent:path}/grants": Example(f"{_AGENT}/grants"),
    "POST /agents/{agent:path}/grants": Example(
        "/agents/{helper}/grants", {"calleeAgentId": "{bot}", "allowedActions": ["read"]}
    ),
    "DELETE /agents/{agent:path}/grants/{grant}": Example(f"{_AGENT}/grants/{{grant}}"),
    "GET /agents/{agent:path}/identity-binding": Example("/agents/{bound}/identity-binding", shows=True),
    "PUT /agents/{agent:path}/identity-binding": Example(
        "/agents/{bound}/identity-binding", {"providerId": "{provider}", "subject": "an example"}
    ),
    "DELETE /agents/{agent:path}/identity-binding": Example("/agents/{bound}/identity-binding"),
    "PATCH /agents/{agent:path}": Example(_AGENT, {"outcomeStrictness": "strict"}),
    "GET /agents/{agent:path}": Example(_AGENT, shows=True),
    "POST /traces/ingest": Example(
        "/traces/ingest", {"traces": [{"traceId": "an-example", "agentId": "{bot}", "status": "error"}]}, 202
    ),
    "GET /traces/search": Example("/traces/search?query=@agent_id:*", shows=True),
    "GET /identity-providers": Example("/identity-providers", shows=True),
    "POST /identity-providers": Example("/identity-providers", {"tenantId": "an example", "audience": "an example"}),
    "DELETE /identity-providers/{id}": Example("/identity-providers/{provider_gone}"),
    "GET /tool-integrity/agents/{agent:path}/baseline": Example("/tool-integrity/agents/{bot}/baseline", shows=True),
    "POST /tool-integrity/agents/{agent:path}/baseline": Example(
        "/tool-integrity/agents/{helper}/baseline", {"descriptors": []}
    ),
    "POST /sdk/bypass-windows": Example(
        "/sdk/bypass-windows", {"sentAt": "2026-01-01T00:00:02Z", "windows": [_WINDOW]}, 200
    ),
    "GET /billing/usage": Example("/billing/usage"),
    # What became of an effect may be known before the trace arrives, so any id of a trace is good here.
    "GET /traces/{trace:path}/resolutions": Example(f"{_TRACE}/resolutions", foreign=200, shows=True),
    "POST /traces/{trace:path}/resolutions": Example(f"{_TRACE}/resolutions", RESOLUTION, 201),
    "POST /auth/login": Example("/auth/login", {"email": "nobody@ours.example", "password": "no password of his"}, 401),
    "POST /auth/logout": Example("/auth/logout", person=True),
    "GET /auth/me": Example("/auth/me", person=True, shows=True),
    "GET /approvals": Example("/approvals", shows=True),
    # Any answer but 200 would end the SDK's waiting with an error: what there is not has expired, and is not valid.
    "GET /approvals/{id}": Example(_APPROVAL, foreign=200),
    "POST /approvals/{id}/verify": Example(f"{_APPROVAL}/verify", {"actionContext": {"input": "an example"}}, 200),
    "POST /approvals/{id}/grant": Example("/approvals/{approval_granted}/grant", REASON, person=True),
    "POST /approvals/{id}/deny": Example("/approvals/{approval_denied}/deny", REASON, person=True),
    "GET /policies": Example("/policies", shows=True),
    "POST /policies": Example("/policies", POLICY),
    "GET /policies/{id}": Example("/policies/{policy}", shows=True),
    "PUT /policies/{id}": Example("/policies/{policy_gone}", {**POLICY, "name": "changed"}),
    "PATCH /policies/{id}": Example("/policies/{policy_gone}", {"enforcementMode": "warn"}),
    "DELETE /policies/{id}": Example("/policies/{policy_gone}"),
    "GET /policies/{id}/versions": Example("/policies/{policy}/versions", shows=True),
    "GET /policies/{id}/shadow": Example("/policies/{policy}/shadow"),
    "GET /cost-budget-rules": Example("/cost-budget-rules", shows=True),
    "POST /cost-budget-rules": Example("/cost-budget-rules", BUDGET),
    "GET /cost-budget-rules/{id}": Example("/cost-budget-rules/{budget}", shows=True),
    "PUT /cost-budget-rules/{id}": Example("/cost-budget-rules/{budget_gone}", {**BUDGET, "scope": "agent"}),
    "DELETE /cost-budget-rules/{id}": Example("/cost-budget-rules/{budget_gone}"),
    "GET /cost-budget-rules/{id}/usage": Example("/cost-budget-rules/{budget}/usage"),
    "GET /integrations": Example("/integrations", shows=True),
    "POST /integrations": Example("/integrations", DRAFT),
    "GET /integrations/{id}": Example("/integrations/{draft}", shows=True),
    "PATCH /integrations/{id}": Example("/integrations/{draft}", {"ddtags": "env:example"}),
    "POST /integrations/{id}/test": Example("/integrations/{draft}/test"),
    "POST /integrations/{id}/enable": Example("/integrations/{draft}/enable"),
    "POST /integrations/{id}/disable": Example("/integrations/{draft}/disable"),
    "GET /traces/{trace:path}/deliveries": Example(f"{_TRACE}/deliveries", shows=True),
    "GET /deliveries": Example("/deliveries", shows=True),
    "GET /deliveries/parked": Example("/deliveries/parked", shows=True),
    "POST /deliveries/requeue": Example("/deliveries/requeue", {"ids": ["{parked}"]}),
    "POST /deliveries/backfill": Example("/deliveries/backfill", {"destination": "{destination}", **PERIOD}),
    "POST /deliveries/replay": Example("/deliveries/replay", {"destination": "{destination}", **PERIOD}),
    "GET /audit": Example("/audit?limit=1000", shows=True),
    "GET /traces/{trace:path}/evidence": Example(f"{_TRACE}/evidence", shows=True),
    "GET /traces": Example("/traces", shows=True),
    "GET /traces/{trace:path}": Example(_TRACE, shows=True),
    "GET /incidents": Example("/incidents", shows=True),
    "POST /incidents": Example("/incidents", {"traceId": "{trace}", "reason": "an example"}),
    "GET /incidents/{id}": Example(_INCIDENT, shows=True),
    "GET /incidents/{id}/evidence": Example(f"{_INCIDENT}/evidence", shows=True),
    "POST /incidents/{id}/acknowledge": Example(f"{_INCIDENT}/acknowledge"),
    "POST /incidents/{id}/assign": Example(f"{_INCIDENT}/assign", {"assignee": "{person}"}),
    "POST /incidents/{id}/comment": Example(f"{_INCIDENT}/comment", {"text": "an example"}),
    "POST /incidents/{id}/contain": Example(f"{_INCIDENT}/contain", REASON),
    "POST /incidents/{id}/resolve": Example(f"{_INCIDENT}/resolve", REASON),
    "POST /incidents/{id}/reopen": Example(f"{_INCIDENT}/reopen", REASON),
    # Those with rules of their own, beside the table.
    "POST /policies/enforce": Example("/policies/enforce", {"agentId": "{bot}", "input": "an example"}, 200),
}

_DESTINATION, _DRAFT = "/settings/integrations/{destination}", "/settings/integrations/{draft}"

PAGES: dict[str, Example] = {
    "GET /": Example("/"),
    "GET /sign-in": Example("/sign-in"),
    "POST /sign-in": Example("/sign-in", {"email": "nobody@ours.example", "password": "none", "next": "/"}),
    "POST /sign-out": Example("/sign-out", {}),
    "POST /theme": Example("/theme", {"theme": "dark", "back": "/"}),
    "GET /welcome/{token}": Example("/welcome/{key}"),
    "POST /welcome/{token}": Example("/welcome/{key}", {}),
    "GET /invite/{token}": Example("/invite/{invite_token}"),
    "POST /invite/{token}": Example("/invite/{invite_token}", {}),
    "GET /overview": Example("/overview", shows=True),
    "GET /agents": Example("/agents", shows=True),
    "GET /agents/{id}": Example("/agents/{bot_id}", shows=True),
    "POST /agents/{id}/pause": Example("/agents/{bot_id}/pause", REASON),
    "POST /agents/{id}/resume": Example("/agents/{bot_id}/resume", REASON),
    "GET /policies": Example("/policies", shows=True),
    "GET /policies/new": Example("/policies/new"),
    "POST /policies/new": Example(
        "/policies/new", {**FORM, "name": "by a page", "ruleDefinition": '{"denied_tools": ["none"]}'}
    ),
    "GET /policies/{id}": Example("/policies/{policy}", shows=True),
    "GET /policies/{id}/edit": Example("/policies/{policy}/edit", shows=True),
    "POST /policies/{id}/edit": Example(
        "/policies/{policy_left}/edit",
        {**FORM, "name": "edited by a page", "ruleDefinition": '{"denied_tools": ["none"]}'},
    ),
    "POST /policies/{id}/activate": Example("/policies/{policy_left}/activate", {"active": "yes"}),
    "POST /policies/{id}/delete": Example("/policies/{policy_left}/delete", {}),
    "GET /approvals": Example("/approvals", shows=True),
    "GET /approvals/{id}": Example(_APPROVAL, shows=True),
    "POST /approvals/{id}/grant": Example("/approvals/{approval_granted_there}/grant", REASON),
    "POST /approvals/{id}/deny": Example("/approvals/{approval_denied_there}/deny", REASON),
    "GET /budgets": Example("/budgets", shows=True),
    "GET /budgets/new": Example("/budgets/new"),
    "POST /budgets/new": Example("/budgets/new", BUDGET_FORM),
    "GET /budgets/{id}": Example("/budgets/{budget}", shows=True),
    "POST /budgets/{id}": Example("/budgets/{budget_left}", BUDGET_FORM),
    "POST /budgets/{id}/delete": Example("/budgets/{budget_left}/delete", {}),
    "GET /audit": Example("/audit", shows=True),
    "GET /audit/verify": Example("/audit/verify"),
    "POST /audit/verify": Example("/audit/verify", {}),
    "GET /audit/head": Example("/audit/head"),
    "GET /audit/export": Example("/audit/export", shows=True),
    "GET /audit/evidence": Example("/audit/evidence?trace={trace}", shows=True),
    "GET /audit/entries/{seq}": Example("/audit/entries/1"),  # each organization counts its own
    "GET /settings": Example("/settings"),
    "GET /settings/profile": Example("/settings/profile", shows=True),
    "POST /settings/profile/name": Example("/settings/profile/name", {"name": "an example"}),
    "POST /settings/profile/password": Example("/settings/profile/password", {"current": "x", "password": "y"}),
    "GET /settings/sessions": Example("/settings/sessions"),
    "POST /settings/sessions/{session}/end": Example("/settings/sessions/{session}/end", {}),
    "POST /settings/sessions/others/end": Example("/settings/sessions/others/end", {}),
    "GET /settings/keys": Example("/settings/keys", shows=True),
    "GET /settings/keys/new": Example("/settings/keys/new"),
    "POST /settings/keys/new": Example("/settings/keys/new", {"name": "x", "role": "agent", "environment": "dev"}),
    "POST /settings/keys/{key}/revoke": Example("/settings/keys/{key}/revoke", {}),
    "GET /settings/members": Example("/settings/members", shows=True),
    "GET /settings/members/invite": Example("/settings/members/invite"),
    "POST /settings/members/invite": Example(
        "/settings/members/invite", {"email": "example@an.example", "role": "viewer"}
    ),
    "POST /settings/members/invitations/{invitation}/withdraw": Example(
        "/settings/members/invitations/{invitation}/withdraw", {}
    ),
    "GET /settings/members/{person}": Example("/settings/members/{person}", shows=True),
    "POST /settings/members/{person}/role": Example("/settings/members/{person}/role", {"role": "analyst"}),
    "POST /settings/members/{person}/disable": Example("/settings/members/{person}/disable", {}),
    "POST /settings/members/{person}/enable": Example("/settings/members/{person}/enable", {}),
    "GET /settings/organization": Example("/settings/organization"),
    "POST /settings/organization": Example("/settings/organization", {"name": "an example"}),
    "GET /settings/integrations": Example("/settings/integrations", shows=True),
    "GET /settings/integrations/new": Example("/settings/integrations/new"),
    "POST /settings/integrations/new": Example("/settings/integrations/new", {**DRAFT, "name": "by a page"}),
    "GET /settings/integrations/guide": Example("/settings/integrations/guide"),
    "GET /settings/integrations/{id}": Example(_DRAFT, shows=True),
    "POST /settings/integrations/{id}/test": Example(f"{_DRAFT}/test", {}),
    "POST /settings/integrations/{id}/enable": Example(f"{_DRAFT}/enable", {}),
    "POST /settings/integrations/{id}/disable": Example(f"{_DRAFT}/disable", {}),
    "POST /settings/integrations/{id}/edit": Example(f"{_DRAFT}/edit", {"name": "edited", "service": "edited"}),
    "POST /settings/integrations/{id}/rotate": Example(f"{_DRAFT}/rotate", {"apiKey": "0" * 32}),
    "GET /settings/integrations/{id}/parked": Example(f"{_DESTINATION}/parked"),
    "POST /settings/integrations/{id}/requeue": Example(f"{_DESTINATION}/requeue", {}),
    "GET /settings/integrations/{id}/backfill": Example(f"{_DESTINATION}/backfill"),
    "POST /settings/integrations/{id}/backfill": Example(
        f"{_DESTINATION}/backfill", {"from": "2026-01-01T00:00", "to": "2026-01-02T00:00"}
    ),
    "GET /traces": Example("/traces", shows=True),
    "GET /traces.csv": Example("/traces.csv", shows=True),
    "GET /traces/{trace:trace}/evidence": Example(f"{_TRACE}/evidence", shows=True),
    "POST /traces/{trace:trace}/content": Example(f"{_TRACE}/content", {}, shows=True),
    "POST /traces/{trace:trace}/incident": Example("/traces/{trace_calm}/incident", {"reason": "an example"}),
    "POST /traces/{trace:trace}/resolution": Example(
        f"{_TRACE}/resolution", {"resolved_status": "success", "basis": "manual"}
    ),
    "GET /traces/{trace:trace}": Example(_TRACE, shows=True),
    "GET /incidents": Example("/incidents?state=all", shows=True),
    "GET /incidents.csv": Example("/incidents.csv", shows=True),
    "GET /incidents.json": Example("/incidents.json", shows=True),
    "GET /incidents/{incident}": Example(_INCIDENT, shows=True),
    "GET /incidents/{incident}/evidence": Example(f"{_INCIDENT}/evidence", shows=True),
    **{
        f"POST /incidents/{{incident}}/{step}": Example(f"{_INCIDENT}/{step}", form)
        for step, form in {
            "acknowledge": {},
            "assign": {"assignee": "{person}"},
            "comment": {"text": "an example"},
            "contain": {"contain_reason": "an example"},
            "resolve": {"resolve_reason": "an example"},
            "reopen": {"reopen_reason": "an example"},
        }.items()
    },
}

TOPICS: dict[str, Example] = {
    "sessions": Example("/live/sessions"),
    "destination": Example("/live/destination?id={draft}"),
    "approvals": Example("/live/approvals?status=pending", shows=True),
    "verification": Example("/live/verification"),
    "overview": Example("/live/overview"),
    "traces": Example("/live/traces", shows=True),
    "incidents": Example("/live/incidents?state=all", shows=True),
}
