"""What a monitor tells of a change: title, text and whom it is addressed to."""

from collections.abc import Mapping
from typing import Any

from execlave_server.datadog.monitors.evaluate_monitor import Change, Why
from execlave_server.datadog.monitors.render_message import MessageFacts, MessageTemplateError, render_message
from execlave_server.sandbox.aggregate import show_time
from execlave_server.sandbox.monitors.held_monitor import HeldMonitor
from execlave_server.sandbox.prepared_log import PreparedLog

TEXT_CHARS_MAX = 20_000  # a notification is read by people
TRANSITIONS = {
    Why.ALERT: "Triggered",
    Why.WARNING: "Warn",
    Why.RECOVERY: "Recovered",
    Why.NO_DATA: "No Data",
    Why.RENOTIFY: "Re-Triggered",
}


def render_change(monitor: HeldMonitor, change: Change, why: Why, link: str) -> tuple[str, str]:
    """Title and text. `link` leads to the logs behind it."""
    definition = monitor.evaluation.definition
    state = monitor.evaluation.groups.get(change.group)
    triggered_us = state.last_triggered_us if state else None
    facts = MessageFacts(
        definition=definition,
        query=monitor.evaluation.query,
        change=change,
        log=facts_of_log(change.log, link),
        last_triggered_at="" if triggered_us is None else show_time(triggered_us // 1_000),
    )
    template = definition.message
    if why is Why.RENOTIFY and definition.options.escalation_message:
        template = definition.options.escalation_message
    scope = ",".join(f"{name}:{value}" for name, value in zip(monitor.group_by, change.group, strict=True))
    subject = f"[{TRANSITIONS[why]}{f' on {{{scope}}}' if scope else ''}] "
    return subject + render(definition.name, facts), render(template, facts)[:TEXT_CHARS_MAX]


def render(template: str, facts: MessageFacts) -> str:
    """The text; a template that cannot be rendered goes out as it is, with the reason."""
    try:
        return render_message(template, facts)
    except MessageTemplateError as error:
        return f"{template}\n\n(not rendered: {error})"


def facts_of_log(log: object, link: str) -> Mapping[str, Any]:
    """What a message may say of the log that goes with it."""
    if not isinstance(log, PreparedLog):
        return {"link": link}
    tags = dict(tag.partition(":")[::2] for tag in reversed(log.tags) if ":" in tag)
    return {
        "message": log.message,
        "status": log.status,
        "host": log.host,
        "service": log.service,
        "source": log.source,
        "trace_id": log.trace_id,
        "timestamp": show_time(log.timestamp_ms),
        "tags": tags,
        "attributes": log.attributes,
        "link": link,
    }
