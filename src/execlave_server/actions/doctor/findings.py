from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

FINDINGS_PER_CODE_MAX = 100  # a thousand rows lost in one accident are one story; the sums still count them all


class Severity(StrEnum):
    """An error breaks a promise now; a warning is what will, or what only a person can judge."""

    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """What doctor can find."""

    LEDGER_ROW_MISSING = "LEDGER_ROW_MISSING"
    TRACE_MISSING = "TRACE_MISSING"
    PARKED_LOG_MISSING = "PARKED_LOG_MISSING"
    BATCH_MISSING = "BATCH_MISSING"
    LOG_COUNT_WRONG = "LOG_COUNT_WRONG"
    LEDGER_COUNTS_WRONG = "LEDGER_COUNTS_WRONG"
    SETTLED_BITS_WRONG = "SETTLED_BITS_WRONG"
    LEDGER_STRANDED = "LEDGER_STRANDED"
    LEASE_STUCK = "LEASE_STUCK"
    DUE_TOO_FAR = "DUE_TOO_FAR"
    DELIVERY_STALLED = "DELIVERY_STALLED"
    DESTINATION_HELD = "DESTINATION_HELD"
    CLOCK_BEHIND = "CLOCK_BEHIND"
    CLOCK_STEPPED_BACK = "CLOCK_STEPPED_BACK"
    KEY_UNUSABLE = "KEY_UNUSABLE"
    KEK_UNUSABLE = "KEK_UNUSABLE"
    KEK_INSIDE_DATA_DIR = "KEK_INSIDE_DATA_DIR"
    PERMISSIONS_OPEN = "PERMISSIONS_OPEN"
    DISK_LOW = "DISK_LOW"
    WAL_LARGE = "WAL_LARGE"
    DATABASE_UNSAFE = "DATABASE_UNSAFE"
    DATABASE_UNREADABLE = "DATABASE_UNREADABLE"
    DATABASE_DAMAGED = "DATABASE_DAMAGED"


class Finding(Struct, frozen=True, omit_defaults=True):
    """What is wrong, why it matters, and what to do; with the batch and the destination it is about."""

    code: Code
    severity: Severity
    what: str
    why: str
    remedy: str
    organization: str | None = None
    destination: str | None = None
    batch: int | None = None


class Standing(Struct, omit_defaults=False):
    """One destination's sum, in logs: committed is counted from trace rows, the rest from the ledger."""

    id: str
    organization: str
    state: str
    committed: int = 0
    delivered: int = 0
    waiting: int = 0
    parked: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every committed log is delivered, waiting or parked."""
        return self.committed == self.delivered + self.waiting + self.parked


class Report(Struct, frozen=True):
    """What an examination found. `batches` is how many were read."""

    findings: list[Finding]
    standings: list[Standing]
    batches: int
    omitted: dict[str, int]

    @property
    def healthy(self) -> bool:
        """True when nothing of severity error was found."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


def utc(time_us: int) -> str:
    """Epoch microseconds, as the commands take them."""
    return (
        datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_us % 1_000_000:06}Z"
    )


def limited(findings: Iterable[Finding]) -> tuple[list[Finding], dict[str, int]]:
    """The first findings of each code, errors first, and how many more there are of which."""
    kept: list[Finding] = []
    seen: Counter[str] = Counter()
    for finding in sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR):
        seen[finding.code] += 1
        if seen[finding.code] <= FINDINGS_PER_CODE_MAX:
            kept.append(finding)
    omitted = {code: count - FINDINGS_PER_CODE_MAX for code, count in seen.items() if count > FINDINGS_PER_CODE_MAX}
    return kept, omitted
