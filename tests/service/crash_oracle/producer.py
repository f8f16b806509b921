"""Connections that send traces as the SDK does: again, with the same ids, until they are acknowledged or given up."""

import http.client
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from crash_oracle.items import make_item

CONNECTIONS = 4
TRACES_PER_REQUEST_MAX = 200
TRACES_PER_S = 900  # of all connections: leaves the product's processes a core
ANSWER_WITHIN_S = 20.0
PAUSE_S = (0.05, 0.4)  # before a request is repeated
CUT_SHARE, REPEATED_SHARE, GIVEN_UP_SHARE = 0.02, 0.05, 0.05
REPEATED_AMONG = 100  # of the newest requests: some were acknowledged by a server that is gone
TRIES_BEFORE_GIVING_UP = 3
UNSENT, SENT, ACKNOWLEDGED, REFUSED = range(4)


class Obligations:
    """What is known of every number: not sent, sent (it may be stored or not), acknowledged, refused by name."""

    def __init__(self) -> None:
        self._states = bytearray()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, number: int) -> int:
        return self._states[number] if 0 <= number < len(self._states) else UNSENT

    def take(self, count: int) -> range:
        """Fresh numbers."""
        with self._lock:
            first = len(self._states)
            self._states.extend(bytes(count))
            return range(first, first + count)

    def note(self, numbers: Sequence[int], state: int) -> None:
        """What became of some; an acknowledgement is never taken back."""
        for number in numbers:
            self._states[number] = max(self._states[number], state)

    def count(self, state: int) -> int:
        """How many are in a state."""
        return self._states.count(state)


class Producer:
    """One connection at a time to one of several servers; `run` in a thread of its own."""

    def __init__(
        self,
        obligations: Obligations,
        urls: Callable[[], Sequence[str]],
        *,
        seed: int,
        name: str,
        key: str,
        start_ms: int,
    ) -> None:
        self._seed = seed
        self._start_ms = start_ms
        self._chance = random.Random(f"{seed} producer {name}")  # noqa: S311 - a plan to be repeated
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._urls = urls
        self._obligations = obligations
        self._acknowledged: deque[range] = deque(maxlen=REPEATED_AMONG)
        self._connection: http.client.HTTPConnection | None = None
        self.abandoned = threading.Event()  # set where the run has failed: nothing more is owed
        self.answers: Counter[str] = Counter()
        self.problems: list[str] = []
        self.duplicates = 0

    def run(self, stopping: threading.Event) -> None:
        """Send until stopped; what is not acknowledged by then is sent on until it is."""
        next_at = time.monotonic()
        while not stopping.is_set():
            count = self._chance.choice((1, 5, 20, 50, 100, TRACES_PER_REQUEST_MAX))
            next_at = max(next_at + count * CONNECTIONS / TRACES_PER_S, time.monotonic() - 1)
            self._send(self._obligations.take(count))
            stopping.wait(max(0.0, next_at - time.monotonic()))
        self._hang_up()

    def send_one(self) -> int:
        """One fresh trace, acknowledged; its number."""
        numbers = self._obligations.take(1)
        while not self._deliver(numbers):
            time.sleep(PAUSE_S[0])
        self._hang_up()
        return numbers[0]

    def _send(self, numbers: range) -> None:
        gives_up = self._chance.random() < GIVEN_UP_SHARE
        if self._chance.random() < CUT_SHARE:
            self._post(numbers, reads_answer=False)
        tries = 1
        while not self._deliver(numbers):
            if self.abandoned.is_set() or (gives_up and tries == TRIES_BEFORE_GIVING_UP):
                return  # it was sent: it may be delivered, and nothing is owed
            tries += 1
            time.sleep(self._chance.uniform(*PAUSE_S))
        self._acknowledged.append(numbers)
        if self._chance.random() < REPEATED_SHARE:
            self._deliver(self._chance.choice(self._acknowledged))

    def _deliver(self, numbers: range) -> bool:
        """Post once; whether it was acknowledged. An answer no documented failure explains is a problem."""
        answer = self._post(numbers)
        if answer is None:
            return False
        status, body = answer
        self.answers[str(status)] += 1
        if status in {429, 503}:
            return False
        if status not in {202, 400}:
            self.problems.append(f"ingest answered {status}: {body[:300]!r}")
            return status < 500
        content = json.loads(body)
        self.duplicates += content.get("duplicates", 0)
        self._settle(numbers, content)
        return True

    def _settle(self, numbers: range, content: dict) -> None:
        invalid = [number for number in numbers if self._item(number)["status"] == "no such status"]
        if len(content.get("errors", ())) != len(invalid) or content["accepted"] != len(numbers) - len(invalid):
            self.problems.append(f"ingest of {numbers} was answered {json.dumps(content)[:300]}")
            return
        self._obligations.note(invalid, REFUSED)
        self._obligations.note([number for number in numbers if number not in set(invalid)], ACKNOWLEDGED)

    def _item(self, number: int) -> dict:
        return make_item(self._seed, number, self._start_ms)

    def _post(self, numbers: range, *, reads_answer: bool = True) -> tuple[int, bytes] | None:
        body = json.dumps({"traces": [self._item(number) for number in numbers]}).encode()
        self._obligations.note(numbers, SENT)
        try:
            if self._connection is None:
                address = urlsplit(self._chance.choice(self._urls()))
                self._connection = http.client.HTTPConnection(
                    address.hostname or "", address.port, timeout=ANSWER_WITHIN_S
                )
            self._connection.request("POST", "/api/v1/traces/ingest", body, self._headers)
            if not reads_answer:
                self._hang_up()
                return None
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.answers[type(error).__name__] += 1
            self._hang_up()
            return None

    def _hang_up(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None
