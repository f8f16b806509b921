"""What is wrong with the queues, the clock and the keys of destinations. Pure."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from execlave_server.actions.doctor.findings import Code, Finding, Severity, Standing, utc
from execlave_server.model.destinations import Destination, DestinationState

FAR_US = 600_000_000  # nothing is due later than a lease (20 s) or the longest wait (120 s) from now; leave room
STALLED_US = 600_000_000  # a lane tries a batch every few seconds, whatever the intake answers
HELD_LONG_US = 3_600_000_000  # a held destination asks every 30 s; after an hour it needs a person
BEATS_MISSED_US = 300_000_000  # a lane claims a heartbeat each minute
AHEAD_US = 5_000_000  # what the clocks of two machines may differ by


class QueueFacts(Struct, frozen=True):
    """A destination's queue: its first row by due time, and the rows that are due implausibly late."""

    destination: int
    heartbeat: bool
    heartbeat_at_us: int | None
    first_batch: int | None
    first_due_at_us: int | None
    first_leased_at_us: int | None
    far_count: int
    far_batch: int | None


def check_queue(
    facts: QueueFacts, destination: Destination, last_delivered_at_us: int, now_us: int
) -> Iterator[Finding]:
    """Stuck leases, rows due in the far future, a queue that nobody works on, and a destination held for long."""

    def finding(
        code: Code, severity: Severity, what: str, why: str, remedy: str, *, batch: int | None = None
    ) -> Finding:
        return Finding(code, severity, what, why, remedy, destination.organization_id, destination.id, batch)

    if facts.far_count:
        yield finding(
            Code.DUE_TOO_FAR,
            Severity.ERROR,
            f"{facts.far_count} outbox rows of destination {destination.id}, the first for batch {facts.far_batch}, "
            f"are due more than {FAR_US // 60_000_000} minutes from now.",
            "No lease and no wait is that long: the clock was stepped back since. They wait until then.",
            "Set the clock right, then start the worker anew: it releases the leases it finds.",
            batch=facts.far_batch,
        )
    if destination.state is DestinationState.HELD and now_us - destination.updated_at_us > HELD_LONG_US:
        yield finding(
            Code.DESTINATION_HELD,
            Severity.WARNING,
            f"Destination {destination.id} has been held since {utc(destination.updated_at_us)}: "
            f"{destination.state_reason or 'no reason was kept'}.",
            "Nothing is sent to it. Nothing is lost, but after 18 h logs arrive with a later timestamp.",
            f"Look at it: execlave-server destination test {destination.id}. A new key: destination rotate.",
        )
    due = facts.first_due_at_us
    if destination.state is not DestinationState.ENABLED or due is None:
        return
    if now_us - max(due, destination.updated_at_us) < STALLED_US:  # it may have been enabled just now
        return
    if facts.first_leased_at_us is not None:
        yield finding(
            Code.LEASE_STUCK,
            Severity.ERROR,
            f"The lease of batch {facts.first_batch} for destination {destination.id} ended at {utc(due)}, and nobody "
            "has taken it since, though it is first in the queue.",
            "A worker died while it was sending, and no other is at work.",
            "Start a worker: execlave-server serve, or execlave-server worker. Its log says what hinders it.",
            batch=facts.first_batch,
        )
    elif now_us - last_delivered_at_us > STALLED_US:
        beating = facts.heartbeat and now_us - (facts.heartbeat_at_us or 0) < BEATS_MISSED_US
        yield finding(
            Code.DELIVERY_STALLED,
            Severity.WARNING,
            f"Batch {facts.first_batch} for destination {destination.id} is due since {utc(due)}, and nothing was "
            f"delivered for {STALLED_US // 60_000_000} minutes.",
            "A worker is at work, but Datadog takes nothing." if beating else "It seems that no worker runs.",
            "The worker's log has Datadog's answers." if beating else "Start it: execlave-server serve, or worker.",
            batch=facts.first_batch,
        )


def check_clock(newest: Mapping[str, int], now_us: int) -> Iterator[Finding]:
    """Rows that were written later than now. `newest` has the newest time of each kind of row."""
    for rows, time_us in newest.items():
        if time_us - now_us > AHEAD_US:
            yield Finding(
                Code.CLOCK_BEHIND,
                Severity.ERROR,
                f"The newest {rows} is from {utc(time_us)}, {(time_us - now_us) / 1e6:.0f} s ahead of this machine.",
                "The clock was stepped back, or another machine's runs ahead: due times, leases and lateness go by it.",
                "Set the clock right on every machine, and keep it so with NTP.",
            )


def unusable_key(standing: Standing, which: str, reason: str) -> Finding:
    """A sealed key that does not open."""
    collecting = standing.state in {DestinationState.ENABLED, DestinationState.HELD}
    return Finding(
        Code.KEY_UNUSABLE,
        Severity.ERROR if collecting else Severity.WARNING,
        f"The {which} of destination {standing.id} cannot be opened: {reason}",
        "Nothing can be sent with it; what is committed waits.",
        f"Restore the right key-encryption key, or enter the key anew: destination rotate {standing.id}",
        standing.organization,
        standing.id,
    )
