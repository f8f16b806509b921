"""What a monitor tells of a change: title, text and whom it is addressed to."""

from execlave_server.datadog.monitors.evaluate_monitor import Change, Why
from execlave_server.datadog.monitors.log_monitor import log_facts
from execlave_server.datadog.monitors.render_message import MessageFacts, MessageTemplateError, render_message
from execlave_server.datadog.search.match_log import SearchableLog
from execlave_server.sandbox.aggregate import show_time
from execlave_server.sandbox.monitors.held_monitor import HeldMonitor

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
    definition = monitor.work.definition
    state = monitor.evaluation.groups.get(change.group)
    triggered_us = state.last_triggered_us if state else None
    facts = MessageFacts(
        definition=definition,
        query=monitor.work.query,
        change=change,
        log={**(log_facts(change.log) if isinstance(change.log, SearchableLog) else {}), "link": link},
        last_triggered_at="" if triggered_us is None else show_time(triggered_us // 1_000),
    )
    template = definition.message
    if why is Why.RENOTIFY and definition.options.escalation_message:
        template = f"{definition.options.escalation_message}\n\n{template}"
    scope = ",".join(f"{name}:{value}" for name, value in zip(monitor.group_by, change.group, strict=True))
    subject = f"[{TRANSITIONS[why]}{f' on {{{scope}}}' if scope else ''}] "
    return subject + render(definition.name, facts), render(template, facts)[:TEXT_CHARS_MAX]


def render(template: str, facts: MessageFacts) -> str:
    """The text; a template that cannot be rendered goes out as it is, with the reason."""
    try:
        return render_message(template, facts)
    except MessageTemplateError as error:
        return f"{template}\n\n(not rendered: {error})"
