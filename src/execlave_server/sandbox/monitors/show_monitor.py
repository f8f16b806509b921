"""A monitor as the API gives it back."""

from datetime import UTC, datetime
from typing import Any

from execlave_server.datadog.monitors.evaluate_monitor import Group, GroupState
from execlave_server.datadog.monitors.monitor_definition import Status
from execlave_server.sandbox.monitors.find_handles import find_handles
from execlave_server.sandbox.monitors.held_monitor import OPTIONS, HeldMonitor

ORG_ID = 1
CREATOR = {"id": 1, "handle": "sandbox@localhost", "name": "Sandbox", "email": "sandbox@localhost"}


def show_monitor(monitor: HeldMonitor, *, with_groups: bool = False) -> dict[str, Any]:
    """The recorded shape; thresholds echo as floats."""
    body = monitor.body
    options = {**OPTIONS, **(body.get("options") or {})}
    if isinstance(options.get("thresholds"), dict):
        options["thresholds"] = {
            name: float(value) if isinstance(value, int) else value for name, value in options["thresholds"].items()
        }
    shown = {
        "id": monitor.id,
        "org_id": ORG_ID,
        "name": body.get("name", ""),
        "type": body["type"],
        "query": body["query"],
        "message": body.get("message", ""),
        "tags": body.get("tags") or [],
        "priority": body.get("priority"),
        "restricted_roles": body.get("restricted_roles"),
        "options": options,
        "multi": bool(monitor.group_by),
        "created": show_moment(monitor.created_us),
        "created_at": monitor.created_us // 1_000,
        "modified": show_moment(monitor.modified_us),
        "deleted": None,
        "creator": CREATOR,
        "overall_state": monitor.evaluation.overall.value,
        "overall_state_modified": None if monitor.overall_since_us is None else show_moment(monitor.overall_since_us),
        "draft_status": "published",
        "assets": list[Any](),
    }
    if with_groups:
        shown["state"] = {"groups": show_groups(monitor)}
    return shown


def show_groups(monitor: HeldMonitor) -> dict[str, Any]:
    """The state of each group. Times are seconds."""
    return {
        name_group(monitor.group_by, group): show_group(name_group(monitor.group_by, group), state)
        for group, state in monitor.evaluation.groups.items()
    }


def show_group(name: str, state: GroupState) -> dict[str, Any]:
    """One group's state."""
    shown: dict[str, Any] = {"name": name, "status": state.status.value}
    if state.last_triggered_us is not None:
        shown["last_triggered_ts"] = state.last_triggered_us // 1_000_000
    if state.told_us is not None:
        shown["last_notified_ts"] = state.told_us // 1_000_000
    if state.since_us is not None and state.status is Status.OK:
        shown["last_resolved_ts"] = state.since_us // 1_000_000
    if state.since_us is not None and state.status is Status.NO_DATA:
        shown["last_nodata_ts"] = state.since_us // 1_000_000
    return shown


def name_group(group_by: tuple[str, ...], group: Group) -> str:
    """Such as `@agent_id:a1,env:production`; `total` where nothing is grouped by."""
    return ",".join(f"{name}:{value}" for name, value in zip(group_by, group, strict=True)) or "total"


def show_found(monitor: HeldMonitor) -> dict[str, Any]:
    """A monitor in the answer of a search."""
    triggered = [state.last_triggered_us for state in monitor.evaluation.groups.values() if state.last_triggered_us]
    handles = find_handles(monitor.body.get("message", ""))
    return {
        "id": monitor.id,
        "org_id": ORG_ID,
        "name": monitor.body.get("name", ""),
        "type": monitor.body["type"],
        "query": monitor.body["query"],
        "status": monitor.evaluation.overall.value,
        "tags": monitor.body.get("tags") or [],
        "classification": "log",
        "creator": {"handle": CREATOR["handle"], "name": CREATOR["name"]},
        "last_triggered_ts": max(triggered) // 1_000_000 if triggered else None,
        "metrics": list[str](),
        "scopes": list[str](),
        "quality_issues": list[str](),
        "notifications": [{"handle": handle, "name": handle} for handle in handles],
    }


def show_moment(at_us: int) -> str:
    """ISO 8601 with an offset, as recorded."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat()
