"""The searches that the shipped resources are made of.

They name `@execlave.status` and not `@status`: Datadog reads the key `status` as severity, and the copy under
`execlave` is safe from that and from any pipeline. See docs/explanation/why-at-status.md.
"""

EVERY_LOG = "source:execlave"
# A drained outage arrives stamped with the present time and says `late`; a replay brings what was delivered before.
AS_IT_HAPPENS = f"{EVERY_LOG} -@execlave.late:true -@execlave.replay:true"
ONCE = f"{EVERY_LOG} -@execlave.replay:true"  # for what is summed up over months: late is better than never

STOPPED = "@execlave.status:(policy_blocked OR flagged_for_review OR limit_exceeded)"
TRACES = "@execlave.status:*"  # only traces have a status; events and heartbeats have none


def event(*names: str) -> str:
    """The logs of some governance events, which carry `execlave.event` and no status."""
    wanted = names[0] if len(names) == 1 else f"({' OR '.join(names)})"
    return f"{AS_IT_HAPPENS} @execlave.event:{wanted}"
