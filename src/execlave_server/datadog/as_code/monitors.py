"""The monitors this product ships: the three of the specification in the form that fires, and what a team needs beside.

A monitor is found again by its tag `execlave_monitor:<key>`, so a key is never changed.
"""

from collections.abc import Sequence

from msgspec import Struct

from execlave_server.datadog.as_code.searches import AS_IT_HAPPENS, EVERY_LOG, STOPPED, event
from execlave_server.datadog.monitors.monitor_definition import (
    LOG_ALERT,
    MonitorDefinition,
    MonitorOptions,
    OnMissingData,
    Thresholds,
)
from execlave_server.datadog.monitors.monitor_query import MINUTE_US, Aggregation, Comparator, MonitorQuery
from execlave_server.datadog.monitors.parse_monitor_query import join_monitor_query

MANAGED_BY = "managed_by:execlave-server"
KEY_TAG = "execlave_monitor"
HOUR = 60  # minutes
EVIDENCE = "Evidence: {{{log.attributes.[execlave.trace_url]}}}"  # three braces: the link's `&` must not be escaped
AGENT = "{{@agent_id.name}}"


class ShippedMonitor(Struct, frozen=True):
    """One monitor: `key` names it for ever, `why` says in a line what it is for."""

    key: str
    why: str
    definition: MonitorDefinition


def _monitor(
    key: str,
    name: str,
    why: str,
    search: str,
    *,
    critical: float,
    minutes: int,
    message: str,
    priority: int,
    warning: float | None = None,
    comparator: Comparator = Comparator.ABOVE,
    aggregation: Aggregation = Aggregation.COUNT,
    measure: str | None = None,
    by: Sequence[str] = (),
    missing: OnMissingData = OnMissingData.DEFAULT,
) -> ShippedMonitor:
    query = MonitorQuery(
        search=search,
        indexes=("*",),
        aggregation=aggregation,
        measure=measure,
        group_by=tuple(by),
        window_us=minutes * MINUTE_US,
        comparator=comparator,
        threshold=float(critical),
    )
    options = MonitorOptions(
        Thresholds(query.threshold, warning=warning),
        on_missing_data=missing,
        enable_logs_sample=True,
        include_tags=True,
        notify_audit=False,
        new_group_delay=0,  # an agent's first minute is as telling as any other
    )
    tags = ("source:execlave", MANAGED_BY, f"{KEY_TAG}:{key}")
    definition = MonitorDefinition(
        name=f"Execlave: {name}",
        type=LOG_ALERT,
        query=join_monitor_query(query),
        message=message,
        options=options,
        tags=tags,
        priority=priority,
    )
    return ShippedMonitor(key, why, definition)


def _told(alert: str, recovery: str, *more: str) -> str:
    """A message: what happened, what it says when that is over, and what helps to look into it."""
    return "\n".join([
        f"{{{{^is_recovery}}}}{alert}{{{{/is_recovery}}}}{{{{#is_recovery}}}}{recovery}{{{{/is_recovery}}}}",
        *(f"{{{{^is_recovery}}}}{line}{{{{/is_recovery}}}}" for line in more),
    ])  # fmt: skip


POLICY_BURST = _monitor(
    "policy-burst",
    "many actions of one agent stopped or flagged",
    "An agent that runs into its policies again and again is misconfigured, or somebody steers it.",
    f"{AS_IT_HAPPENS} {STOPPED}",
    critical=10,
    warning=5,
    minutes=15,
    by=["@agent_id"],
    priority=2,
    message=_told(
        f"Agent {AGENT}: {{{{value}}}} actions stopped or flagged in 15 minutes, more than {{{{threshold}}}}.",
        f"Agent {AGENT} no longer runs into its policies.",
        "The last one: {{log.message}}. Policies: {{log.attributes.[execlave.policy_types]}}",
        EVIDENCE,
    ),
)
COST_RUNAWAY = _monitor(
    "cost-runaway",
    "an agent spends too much",
    "A loop shows in the bill first. Without new spending it resolves by itself, because a sum without data would "
    "otherwise keep its state.",
    AS_IT_HAPPENS,
    aggregation=Aggregation.SUM,
    measure="@cost_usd",
    critical=5,
    warning=3,
    minutes=HOUR,
    by=["@agent_id"],
    priority=3,
    missing=OnMissingData.RESOLVE,
    message=_told(
        f"Agent {AGENT} spent {{{{value}}}} US dollars in an hour, more than {{{{threshold}}}}.",
        f"Agent {AGENT} spends as usual again.",
        "Model of the last trace: {{log.attributes.model}}",
        EVIDENCE,
    ),
)
AUTONOMOUS_TOOL_BLOCKED = _monitor(
    "autonomous-tool-blocked",
    "an autonomous agent was blocked on a tool",
    "Nobody stands between an autonomous agent and its tools, so one block is a reason to review its tier.",
    f"{AS_IT_HAPPENS} @execlave.status:policy_blocked @span_type:tool @autonomy_level:autonomous",
    critical=0,
    minutes=5,
    by=["@agent_id"],
    priority=1,
    message=_told(
        f"Autonomous agent {AGENT} was blocked on a tool {{{{value}}}} times in 5 minutes.",
        f"Autonomous agent {AGENT}: no block in the last 5 minutes. Review whether its tier is right.",
        "Tool: {{log.attributes.span_name}}. Policies: {{log.attributes.[execlave.policy_types]}}",
        EVIDENCE,
    ),
)
UNREGISTERED_AGENT = _monitor(
    "unregistered-agent",
    "an agent that nobody registered",
    "What is not in the registry has no tier, no owner and no policy of its own.",
    f"{AS_IT_HAPPENS} @execlave.unregistered:true",
    critical=0,
    minutes=15,
    by=["@agent_id"],
    priority=3,
    message=_told(
        f"{AGENT} acts and is not registered: {{{{value}}}} traces in 15 minutes.",
        f"{AGENT} no longer acts unregistered.",
        "Environment: {{log.attributes.environment}}. Register it, or revoke the API key it uses.",
        EVIDENCE,
    ),
)
ENFORCEMENT_BYPASSED = _monitor(
    "enforcement-bypassed",
    "agents acted without a decision",
    "Whatever ran in such a window was decided by nobody. Not grouped: a window need not name an agent.",
    event("enforcement.bypassed"),
    critical=0,
    minutes=15,
    priority=1,
    message=_told(
        "{{value}} windows in 15 minutes in which actions ran without the server's decision.",
        "No new window without enforcement.",
        "Agent {{log.attributes.agent_id}}, {{log.attributes.[execlave.calls]}} calls, because of "
        "{{log.attributes.[execlave.reason]}}; window {{log.attributes.[execlave.window_id]}}",
    ),
)
AGENT_PAUSED = _monitor(
    "agent-paused",
    "an agent was paused",
    "Somebody, or a budget, used the kill switch; whoever depends on the agent should hear it at once.",
    f"{event('agent.status_changed')} @agent_status:paused",
    critical=0,
    minutes=5,
    by=["@agent_id"],
    priority=2,
    message=_told(
        f"Agent {AGENT} was paused. It stays paused until somebody resumes it.",
        f"The pause of agent {AGENT} is 5 minutes old; this says nothing about whether it was resumed.",
        "It was {{log.attributes.[execlave.was]}}, in {{log.attributes.environment}}.",
    ),
)
STREAM_LATE = _monitor(
    "stream-late",
    "the stream is late",
    "While logs wait, every other monitor looks at the past.",
    f"{EVERY_LOG} @execlave.event:heartbeat",
    aggregation=Aggregation.MAX,
    measure="@execlave.oldest_age_seconds",
    critical=900,
    warning=300,
    minutes=10,
    by=["@organization_id"],
    priority=2,
    message=_told(
        "The oldest log that waits for Datadog is {{value}} seconds old, more than {{threshold}}.",
        "The stream is on time again.",
        "{{log.attributes.[execlave.backlog]}} logs wait, {{log.attributes.[execlave.parked]}} are parked. "
        "On the server: execlave-server deliveries status",
    ),
)
STREAM_SILENT = _monitor(
    "stream-silent",
    "the stream is silent",
    "The heartbeat comes each minute; when it is missing, so is everything else, and silence looks like peace. "
    "Not grouped, so that it also fires where no log ever came.",
    f"{EVERY_LOG} @execlave.event:heartbeat",
    comparator=Comparator.BELOW,
    critical=1,
    minutes=10,
    priority=1,
    message=_told(
        "No heartbeat of Execlave for 10 minutes: server or worker is down, or its API key is refused.",
        "The heartbeat of Execlave is back.",
        "On the server: execlave-server doctor",
    ),
)
APPROVALS_WAITING = _monitor(
    "approvals-waiting",
    "somebody is asked to approve",
    "An agent stands still until a person answers. A log monitor cannot subtract what was answered, so it fires for "
    "each request; what nobody answers is the next monitor's.",
    event("approval.requested"),
    critical=0,
    minutes=15,
    by=["@agent_id"],
    priority=4,
    message=_told(
        f"Agent {AGENT} asked for {{{{value}}}} approvals in 15 minutes.",
        f"Agent {AGENT} asked for nothing in the last 15 minutes; what it asked for before may still wait.",
        "The last one: {{log.attributes.[execlave.approval_id]}}, risk {{log.attributes.[execlave.risk_level]}}. "
        "On the server: execlave-server approval list",
    ),
)
APPROVAL_EXPIRED = _monitor(
    "approval-expired",
    "an approval expired unanswered",
    "Nobody looked in time: the action did not happen, and the next one will wait as long.",
    event("approval.expired"),
    critical=0,
    minutes=30,
    by=["@agent_id"],
    priority=2,
    message=_told(
        f"{{{{value}}}} approvals that agent {AGENT} asked for expired in 30 minutes without an answer.",
        f"No approval of agent {AGENT} expired in the last 30 minutes.",
        "The last one: {{log.attributes.[execlave.approval_id]}}",
    ),
)
BUDGET_SPENT = _monitor(
    "budget-spent",
    "a budget is spent, or nearly",
    "A warning leaves time to raise the budget, or to ask what the agent is doing.",
    event("budget.warning", "budget.hit"),
    critical=0,
    minutes=30,
    by=["@execlave.budget_id", "@execlave.event"],
    priority=3,
    message=_told(
        "Budget {{[@execlave.budget_id].name}}: {{[@execlave.event].name}}, "
        "{{log.attributes.[execlave.spent_usd]}} of {{log.attributes.[execlave.cap_usd]}} US dollars.",
        "Budget {{[@execlave.budget_id].name}}: nothing new in 30 minutes.",
        "Agent {{log.attributes.agent_id}}; what follows: {{log.attributes.[execlave.budget_action]}}",
    ),
)
INJECTION_ATTEMPTS = _monitor(
    "injection-attempts",
    "somebody tries to steer an agent",
    "One find may be chance; several in a row are somebody trying.",
    f"{AS_IT_HAPPENS} @execlave.policy_types:injection_scan",
    critical=2,
    warning=0,
    minutes=15,
    by=["@agent_id"],
    priority=2,
    message=_told(
        f"Agent {AGENT}: {{{{value}}}} texts in 15 minutes that try to give it other orders.",
        f"Agent {AGENT}: no such text in the last 15 minutes.",
        "User {{log.attributes.user_id}}, session {{log.attributes.session_id}}, "
        "rules {{log.attributes.[execlave.rule_ids]}}",
        EVIDENCE,
    ),
)
CERTIFICATE_MISUSE = _monitor(
    "certificate-misuse",
    "an approval was presented for something else",
    "A certificate is good once, for one action, for a short time. Anything else is an attack or a grave mistake.",
    event("approval.misused"),
    critical=0,
    minutes=15,
    by=["@execlave.approval_id"],
    priority=1,
    message=_told(
        "Approval {{[@execlave.approval_id].name}} was refused {{value}} times: {{log.attributes.[execlave.reason]}}.",
        "Approval {{[@execlave.approval_id].name}} was not misused again.",
        "Agent {{log.attributes.agent_id}}, certificate {{log.attributes.[execlave.certificate_id]}}",
    ),
)

SHIPPED = (
    *(POLICY_BURST, COST_RUNAWAY, AUTONOMOUS_TOOL_BLOCKED),
    *(UNREGISTERED_AGENT, ENFORCEMENT_BYPASSED, AGENT_PAUSED, STREAM_LATE, STREAM_SILENT),
    *(APPROVALS_WAITING, APPROVAL_EXPIRED, BUDGET_SPENT, INJECTION_ATTEMPTS, CERTIFICATE_MISUSE),
)
