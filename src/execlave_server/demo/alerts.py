"""The specification's three monitors in the sandbox: set up as `datadog apply` does it, evaluated, and listened to."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, convert

from execlave_server.datadog.apply_resources import Account, Applier, Change, Step
from execlave_server.datadog.as_code.monitors import AUTONOMOUS_TOOL_BLOCKED, COST_RUNAWAY, KEY_TAG, POLICY_BURST
from execlave_server.datadog.as_code.resources import Kind
from execlave_server.demo.parts import fetch

WATCHED = (POLICY_BURST, COST_RUNAWAY, AUTONOMOUS_TOOL_BLOCKED)
TRIGGERED = "Triggered"


class Notification(Struct, frozen=True):
    """What a monitor told, as the sandbox keeps it. `transition` None: a change that nobody is told of."""

    at_us: int
    monitor_id: int
    monitor: str
    transition: str | None
    title: str | None
    body: str | None


class Alerts:
    """The three monitors of one sandbox, and which of them have fired."""

    def __init__(self, sandbox_url: str) -> None:
        self._url = sandbox_url
        self._heard_us = 0
        self._silent = {each.definition.name for each in WATCHED}

    @property
    def all_fired(self) -> bool:
        """Whether each of the three has fired."""
        return not self._silent

    def set_up(self, account: Account) -> list[Step]:
        """Bring the log pipeline and the three monitors in, through Datadog's official client; what was made."""
        applier = Applier(account)
        wanted = {f"{KEY_TAG}:{each.key}" for each in WATCHED}
        plan = [
            step
            for step in applier.plan((Kind.PIPELINE, Kind.MONITORS))
            if step.kind is Kind.PIPELINE or step.name in wanted
        ]
        assert all(step.change is Change.CREATE for step in plan), "a new sandbox holds nothing"
        return list(applier.apply(plan))

    def evaluate(self) -> Iterator[Notification]:
        """Have every monitor evaluated now; what was told since the last time."""
        fetch(f"{self._url}/sandbox/evaluate", "POST")
        events: list[dict[str, Any]] = fetch(f"{self._url}/sandbox/history")["events"]
        told = [convert(event, Notification) for event in events if event["transition"]]
        since_us, self._heard_us = self._heard_us, max((each.at_us for each in told), default=self._heard_us)
        for each in told:
            if each.at_us > since_us:
                if each.transition == TRIGGERED:
                    self._silent.discard(each.monitor)
                yield each
