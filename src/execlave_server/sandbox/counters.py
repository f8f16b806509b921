from collections import Counter
from dataclasses import dataclass, field

from execlave_server.sandbox.accepted_keys import digest_key
from execlave_server.sandbox.limits import KEYS_SEEN_MAX


@dataclass(slots=True)
class Counters:
    """What happened at the intake since the start, or since the logs were last forgotten."""

    requests: int = 0
    accepted_requests: int = 0
    body_bytes: int = 0  # of accepted requests, before compression
    wire_bytes: int = 0  # of the same, as received
    by_status: Counter[str] = field(default_factory=Counter)  # answers that had a client to go to
    by_encoding: Counter[str] = field(default_factory=Counter)  # of accepted requests
    dropped_too_old: int = 0
    truncated: int = 0
    faults_applied: int = 0  # on any path
    first_arrival_us: int | None = None  # of accepted requests
    last_arrival_us: int | None = None
    keys_seen: set[bytes] = field(default_factory=set)  # digests

    def saw_key(self, key: str) -> None:
        """Count a key presented to the intake, valid or not, once."""
        if len(self.keys_seen) < KEYS_SEEN_MAX:
            self.keys_seen.add(digest_key(key))

    def saw_arrival(self, arrived_us: int) -> None:
        """Note when an accepted request came."""
        if self.first_arrival_us is None:
            self.first_arrival_us = arrived_us
        self.last_arrival_us = arrived_us

    def report(self, logs: int) -> dict[str, object]:
        """The body of `GET /sandbox/stats`; `logs` is how many are held."""
        return {
            "requests": self.requests,
            "accepted_requests": self.accepted_requests,
            "logs": logs,
            "bytes": self.body_bytes,
            "wire_bytes": self.wire_bytes,
            "by_status": self.by_status,
            "by_encoding": self.by_encoding,
            "dropped_too_old": self.dropped_too_old,
            "truncated": self.truncated,
            "faults_applied": self.faults_applied,
            "first_arrival_us": self.first_arrival_us,
            "last_arrival_us": self.last_arrival_us,
            "distinct_keys": len(self.keys_seen),
        }
