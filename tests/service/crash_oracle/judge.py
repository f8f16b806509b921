"""Afterwards: what the witness holds, and what is parked, against what was produced and acknowledged."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness import Installation, Sandbox

from crash_oracle.exposures import Exposures, is_within
from crash_oracle.items import (
    COMPARED,
    LEAK,
    expected_log,
    is_poison,
    make_item,
    number_of,
    occurred_ms,
)
from crash_oracle.producer import ACKNOWLEDGED, REFUSED, UNSENT, Obligations

PAGE = 5_000
OWN_EVENTS = {"connection_test", "heartbeat"}  # logs that speak of no trace
PROBLEMS_SHOWN = 20


@dataclass
class Verdict:
    """What was found. A run is good when there is no problem."""

    delivered: int = 0
    parked: int = 0
    duplicates: int = 0
    duplicates_bound: int = 0
    late: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Note a problem, unless there are enough to read already."""
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(problem)


class Judge:
    """Compares. `start_ms` is that of the producers."""

    def __init__(self, seed: int, start_ms: int, organization_id: str, obligations: Obligations) -> None:
        self._seed = seed
        self._start_ms = start_ms
        self._organization_id = organization_id
        self._obligations = obligations
        self._keys: dict[int, str] = {}
        self.verdict = Verdict()

    def judge(self, sandbox: Sandbox, installation: Installation, exposures: Exposures, committed: int) -> Verdict:
        """Everything at once; the faults are over and nothing waits any more."""
        verdict = self.verdict
        arrivals: Counter[int] = Counter()
        repeated: dict[int, list[int]] = {}  # sequence numbers of the logs that came more than once
        first_seen: dict[int, int] = {}
        for sequence, raw, log in delivered_logs(sandbox):
            number = self._examine(raw, log)
            arrivals[number] += 1
            if arrivals[number] > 1:
                repeated.setdefault(number, [first_seen[number]]).append(sequence)
            first_seen.setdefault(number, sequence)
        parked = set()
        for entry in parked_logs(installation):
            number = self._examine(json.dumps(entry["log"]), entry["log"])
            if not entry["reason"] or number in parked:
                verdict.add(f"parked without a reason, or twice: {entry}")
            if not is_poison(number) and not entry["status"]:
                verdict.add(f"parked without Datadog's answer: {entry}")
            parked.add(number)
            if number in first_seen:
                repeated.setdefault(number, [first_seen[number]]).append(1 << 62)
        self._count(arrivals, parked, committed)
        self._explain(repeated, exposures)
        return verdict

    def _count(self, arrivals: Counter[int], parked: set[int], committed: int) -> None:
        """Every obligation is met, poison is parked, and the server's count is what there is."""
        verdict, settled = self.verdict, arrivals.keys() | parked
        lost = [number for number in range(len(self._obligations)) if self._owes(number) and number not in settled]
        if lost:
            verdict.add(f"LOST: {len(lost)} acknowledged traces are neither delivered nor parked: {lost[:20]}")
        if drunk := [number for number in arrivals if is_poison(number)]:
            verdict.add(f"poison was delivered: {drunk[:20]}")
        if len(settled) != committed:
            verdict.add(f"{committed} traces are committed, {len(settled)} are delivered or parked")
        verdict.delivered, verdict.parked = len(arrivals), len(parked)

    def _owes(self, number: int) -> bool:
        return self._obligations[number] == ACKNOWLEDGED

    def _examine(self, raw: str, log: dict[str, Any]) -> int:
        """The number of a log that says what was produced; whatever else it is, is a problem."""
        number = number_of(log)
        if self._obligations[number] in {UNSENT, REFUSED}:
            self.verdict.add(f"INVENTED: nothing of the kind was stored: {raw[:500]}")
            return number
        if LEAK in raw:
            self.verdict.add(f"LEAKED: what must stay has left: {raw[:500]}")
        item = make_item(self._seed, number, self._start_ms)
        expected = expected_log(item, self._organization_id)
        if differing := {name: (log.get(name), expected[name]) for name in COMPARED if log.get(name) != expected[name]}:
            self.verdict.add(f"CHANGED: {number} differs in (delivered, produced) {differing}")
        own = log["execlave"]
        if (own["status"], own["trace_id"], own.get("parent_span_id")) != (
            item["status"],
            item["traceId"],
            item["metadata"].get("parentSpanId"),
        ):
            self.verdict.add(f"CHANGED: {number} is not what it says under `execlave`: {own}")
        if own.get("event_timestamp", log["timestamp"]) != occurred_ms(item):
            self.verdict.add(f"CHANGED: {number} has another time: {log['timestamp']}, {own}")
        if self._keys.setdefault(number, own["delivery_key"]) != own["delivery_key"]:
            self.verdict.add(f"CHANGED: {number} has two delivery keys")
        self.verdict.late += bool(own.get("late"))
        return number

    def _explain(self, repeated: dict[int, list[int]], exposures: Exposures) -> None:
        """A log comes again only when an answer to it, given around an exposure, may not have been written down."""
        verdict, exposed = self.verdict, exposures.exposed()
        verdict.duplicates = sum(len(sequences) - 1 for sequences in repeated.values())
        verdict.duplicates_bound = sum(map(len, exposed))
        unexplained = [
            number
            for number, sequences in repeated.items()
            if not all(is_within(sequence, exposed) for sequence in sequences[:-1])
        ]
        if unexplained:
            shown = {number: repeated[number] for number in unexplained[:5]}
            verdict.add(f"DUPLICATED: {len(unexplained)} logs came again though nothing had happened: {shown}")
        if len(set(self._keys.values())) != len(self._keys):
            verdict.add("CHANGED: two traces share a delivery key")


def delivered_logs(sandbox: Sandbox) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Sequence number, text and content of every log of a trace that the sandbox holds, a page at a time."""
    after = 0
    while page := sandbox.caller.get(f"/sandbox/logs?limit={PAGE}&after={after}").data:
        for row in page:
            if row["log"].get("execlave", {}).get("event") not in OWN_EVENTS:
                yield row["sequence"], json.dumps(row["log"], ensure_ascii=False), row["log"]
        after = page[-1]["sequence"]


def parked_logs(installation: Installation) -> Iterator[dict[str, Any]]:
    """Every parked log, a page at a time."""
    after = 0
    while page := installation.run_json("deliveries", "parked", "--limit", "500", "--after", str(after)):
        yield from page
        after = page[-1]["id"]
