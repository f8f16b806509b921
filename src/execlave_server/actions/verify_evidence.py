"""Hold everything stored against the audit chain, page by page, while the server goes on committing.

What was committed up to the beginning is verified: one read fixes where that is. No read outlives a page, so what a
sweep removes meanwhile is looked at again at the end before it is called missing.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from execlave_server.actions.read_stored import StoredPages
from execlave_server.audit.chain import Entry, Head
from execlave_server.audit.events import Sweep, SweptRange
from execlave_server.audit.findings import Code, Finding
from execlave_server.audit.head import SignatureCheck, SignedHead
from execlave_server.audit.verify import LogAnchor, Summary, Verification, verify_logs
from execlave_server.store.protocol import Store

FINDINGS_KEPT = 10_000  # more are counted; who tampered with everything need not be told of each row
_BATCH = re.compile(r"batch (\d+)")
_GOES_WITH_A_SWEEP = frozenset(
    {Code.BATCH_MISSING, Code.TRACE_MISSING, Code.DECISION_MISSING, Code.EVENT_MISSING, Code.BATCH_CHANGED}
)

Report = Callable[[int, int], object]
"""Told (entries verified, entries there are)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known from elsewhere: heads kept apart with the check of their signature, and logs out of Datadog."""

    heads: Iterable[SignedHead] = ()
    check_signature: SignatureCheck | None = None
    logs: Iterable[LogAnchor] = ()


@dataclass(slots=True)
class Verified:
    """What a verification found. `count` is of all findings, `findings` are at most FINDINGS_KEPT of them."""

    organization_id: str
    summary: Summary = field(default_factory=Summary)
    findings: list[Finding] = field(default_factory=list)
    count: int = 0
    logs: int = 0

    def add(self, findings: Iterable[Finding]) -> None:
        """Take findings in."""
        for finding in findings:
            self.count += 1
            if len(self.findings) < FINDINGS_KEPT:
                self.findings.append(finding)

    def forget_swept(self, sweeps: Iterable[Entry]) -> None:
        """Drop what is about batches that these sweeps have removed."""
        for entry in sweeps:
            ranges = msgspec.json.decode(entry.details, type=Sweep).ranges
            left = [each for each in self.findings if not any(_went_with(each, swept) for swept in ranges)]
            self.count -= len(self.findings) - len(left)
            self.findings = left


def _went_with(finding: Finding, swept: SweptRange) -> bool:
    named = _BATCH.match(finding.where) if finding.code in _GOES_WITH_A_SWEEP else None
    return named is not None and swept.first <= int(named[1]) <= swept.last


async def verify_evidence(store: Store, organization: int, kept: Kept, report: Report) -> Verified:
    """Verify an organization's chain, batches, traces and decisions. Raises UnavailableError."""
    pages = StoredPages(store, organization, asyncio.get_running_loop())
    return await asyncio.to_thread(_verify, pages, kept, report)


def _verify(pages: StoredPages, kept: Kept, report: Report) -> Verified:
    end = pages.end()
    stored = Head(end.id, end.seq, end.hash, end.nodes)
    verified = Verified(end.id)
    verification = Verification(
        Head(end.id),
        sweeps=pages.sweeps(after=0, last=end.newest_entry),
        heads=kept.heads,
        check_signature=kept.check_signature,
        stored_head=stored,
    )
    entries = _reported(pages.entries(end.newest_entry), end.newest_entry, report)
    logs = verify_logs(_counted(kept.logs, verified), pages.hash_of_entry, pages.has_log)
    verified.add(chain(verification.run(entries, pages.batches(end)), _strays(pages), logs))
    verified.forget_swept(pages.sweeps(after=end.newest_entry, last=None))
    verified.summary = verification.summary
    return verified


def _strays(pages: StoredPages) -> Iterator[Finding]:
    """Rows that are in no batch of theirs."""
    for row, trace_id, batch in pages.stray_traces():
        why = f"it names batch {batch}, which does not hold it"
        yield Finding(Code.TRACE_ADDED, f"row {row} of traces, {trace_id}", "is in no batch", why)
    for batch, position in pages.stray_events():
        why = f"it names batch {batch}, which is not there"
        yield Finding(Code.EVENT_ADDED, f"event {position} of batch {batch}", "is in no batch", why)
    for decision, of in pages.stray_decisions():
        why = "it names no batch" if of is None else f"it names batch {of}, which is not there"
        yield Finding(Code.DECISION_ADDED, f"decision {decision}", "is in no batch", why)


def _reported(entries: Iterable[Entry], total: int, report: Report) -> Iterator[Entry]:
    for done, entry in enumerate(entries, start=1):
        yield entry
        if done % 1_000 == 0:
            report(done, total)
    report(total, total)


def _counted(logs: Iterable[LogAnchor], verified: Verified) -> Iterator[LogAnchor]:
    for log in logs:
        verified.logs += 1
        yield log
