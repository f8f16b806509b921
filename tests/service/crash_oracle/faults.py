"""The fault script: what the sandbox answers, kind after kind in a seeded order."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from http.client import HTTPException
from typing import Any

from harness import DATADOG_KEY, Answer, Sandbox

from crash_oracle.exposures import Exposures
from crash_oracle.items import POISON

MANY = 100_000  # of a rule that lasts until it is replaced; what is left of it says how often it applied
MET_WITHIN_S = 15.0  # an outage is probed every 2.5 s, and the worker may be down meanwhile
LASTS_S = (0.2, 1.2)
QUIET_S = (0.1, 0.8)  # a while in which the intake answers 202
HELD_WITHIN_S = 4.0
OPEN_WITHIN_S = 10.0
LOOK_S = 0.05
POISON_RULE = {"status": 400, "times": None, "contains": POISON}


class Fault(StrEnum):
    """How Datadog, a proxy or the network may fail. The poison logs are refused all the time."""

    REFUSE_ALL = "400 for everything"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    TOO_LARGE = "413"
    RETRY_AFTER = "429 Retry-After"
    RATE_LIMIT_RESET = "429 X-RateLimit-Reset"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    HANG = "hang"
    RESET = "reset"
    ACCEPT_THEN_RESET = "reset after accept"
    SLOW = "slow"
    PAGE = "200 with HTML"
    KEY_REVOKED = "key revoked"

    @property
    def holds(self) -> bool:
        """Whether the destination is to be held, so that an operator comes and enables it."""
        return self in {Fault.REFUSE_ALL, Fault.FORBIDDEN, Fault.NOT_FOUND, Fault.KEY_REVOKED}


SHORT_SCRIPT = (Fault.REFUSE_ALL, Fault.KEY_REVOKED, Fault.TOO_LARGE, Fault.UNAVAILABLE, Fault.ACCEPT_THEN_RESET)


def rule_of(fault: Fault, chance: random.Random) -> dict[str, Any]:
    """The sandbox's rule for a fault; `times` is how often it applies at the most."""
    few = chance.randrange(1, 5)
    rules: dict[Fault, dict[str, Any]] = {
        Fault.REFUSE_ALL: {"status": 400, "times": MANY},
        Fault.FORBIDDEN: {"status": 403, "times": MANY},
        Fault.NOT_FOUND: {"status": 404, "times": MANY},
        Fault.TOO_LARGE: {"status": 413, "times": few},
        Fault.RETRY_AFTER: {"status": 429, "times": few, "headers": {"Retry-After": chance.choice("012")}},
        Fault.RATE_LIMIT_RESET: {"status": 429, "times": few, "headers": {"X-RateLimit-Reset": _reset(chance)}},
        Fault.SERVER_ERROR: {"status": 500, "times": MANY},
        Fault.UNAVAILABLE: {"status": 503, "times": MANY, "body": "<h1>down for repair</h1>"},
        Fault.HANG: {"action": "hang", "times": 1},
        Fault.RESET: {"action": "reset", "times": few},
        Fault.ACCEPT_THEN_RESET: {"action": "accept_then_reset", "times": few},
        Fault.SLOW: {"delay_ms": chance.randrange(500, 4_000), "times": few},
        Fault.PAGE: {"status": 200, "times": MANY, "body": "<html>Please sign in to the guest network</html>"},
        Fault.KEY_REVOKED: {"status": 403, "times": MANY},  # the sandbox's keys are replaced instead
    }
    return rules[fault]


def _reset(chance: random.Random) -> str:
    """Seconds to wait, or the epoch second at which to come again: both are seen."""
    return chance.choice(("1", str(int(time.time()) + 2)))


class FaultScript:
    """Plays every kind once in a seeded order, then again, until told to stop; the first round is played to its end."""

    def __init__(
        self, seed: int, sandbox: Sandbox, exposures: Exposures, look: Callable[[], str], enable: Callable[[], Answer]
    ) -> None:
        self._chance = random.Random(f"{seed} faults")  # noqa: S311 - a plan to be repeated
        self._sandbox = sandbox
        self._exposures = exposures
        self._look = look  # the destination's state
        self._enable = enable
        self.played: Counter[str] = Counter()  # those that met a request

    def run(self, stopping: threading.Event, kinds: Sequence[Fault], *, ends_held: bool) -> None:
        """Play. A fault that no request met in time is played again; the last one may hold, and nobody comes."""
        owed = list(kinds)
        self._chance.shuffle(owed)
        while owed or not stopping.is_set():
            fault = owed.pop() if owed else self._chance.choice(kinds)
            if not self._play(fault) and owed:
                owed.insert(0, fault)
            self._calm()
            _wait_quietly(self._is_open, OPEN_WITHIN_S)
            time.sleep(self._chance.uniform(*QUIET_S))
        if ends_held:
            self._play(Fault.KEY_REVOKED)
            self._calm()

    def _play(self, fault: Fault) -> bool:
        rule = rule_of(fault, self._chance)
        refused = self._refusals()
        start = time.monotonic()
        if fault is Fault.KEY_REVOKED:
            self._sandbox.accept("another-key")
            met = _wait_quietly(lambda: self._refusals() > refused, MET_WITHIN_S)
        else:
            self._sandbox.fail(POISON_RULE, rule)
            met = _wait_quietly(lambda: self._is_met(rule), MET_WITHIN_S)
        time.sleep(self._chance.uniform(*LASTS_S))
        if met and fault.holds:
            _wait_quietly(lambda: self._look() == "held", HELD_WITHIN_S)
        if fault is Fault.ACCEPT_THEN_RESET:
            self._exposures.add(fault, start, time.monotonic())
        self.played[fault] += met
        return met

    def _calm(self) -> None:
        self._sandbox.fail(POISON_RULE)
        self._sandbox.accept(DATADOG_KEY)

    def _is_met(self, rule: dict[str, Any]) -> bool:
        """Whether the rule applied to a request: it is used up, or applies less often than it did."""
        left = self._sandbox.caller.get("/sandbox/faults").json["rules"]
        return len(left) == 1 or left[1]["times"] < rule["times"]

    def _refusals(self) -> int:
        return self._sandbox.stats()["by_status"].get("403", 0)

    def _is_open(self) -> bool:
        """Whether the destination sends; an operator enables one that is held."""
        if self._look() == "held":
            self._enable()
            return False
        return True


def _wait_quietly(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether something came true in time; while the product is down nothing does."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with suppress(OSError, HTTPException, AssertionError):
            if condition():
                return True
        time.sleep(LOOK_S)
    return False
