"""The audit chain on the command line: verify it, sign its head, export evidence of a trace."""

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

import execlave_server
from execlave_server.actions.erase_content import Erased, erase_user
from execlave_server.actions.export_evidence import export_evidence
from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.services import Services
from execlave_server.actions.sign_head import append_heads, open_signing_key, sign_present_head
from execlave_server.actions.verify_evidence import Kept, Verified, verify_evidence
from execlave_server.audit.exported_logs import log_anchors
from execlave_server.audit.head import SignedHead, head_line, read_heads
from execlave_server.audit.verify import LogAnchor
from execlave_server.cli.options import data_dir_option, json_option, org_option, print_json, settings_of, with_services
from execlave_server.errors import BadRequestError, NotFoundError

OFFLINE_SCRIPT = "verify_evidence.py"
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group
def audit() -> None:
    """The evidence: what was recorded, and that nothing of it has changed since."""


@audit.command("verify")
@data_dir_option
@org_option
@click.option("--head", "head_file", type=_FILE, help="Signed heads kept apart, one JSON object a line.")
@click.option("--logs", "log_file", type=_FILE, help="Logs exported from Datadog, JSON lines, also gzipped.")
@json_option
def audit_verify(
    data_dir: Path | None, organization_id: str | None, head_file: Path | None, log_file: Path | None, *, as_json: bool
) -> None:
    """Hold every trace, decision, batch and entry against the audit chain. Exit code 1 when something is wrong.

    The server may run meanwhile.

    \b
    Example:
      execlave-server audit verify --head /mnt/elsewhere/heads.jsonl
    """
    heads = _read_heads(head_file)

    async def verify(services: Services) -> Verified:
        organization = await find_organization(services, organization_id)
        check = (await open_signing_key(services)).check if heads else None
        kept = Kept(heads, check, _read_logs(log_file))
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"verifying {organization.id}", total=None)
            return await verify_evidence(
                services.store,
                organization.number,
                kept,
                lambda done, total: bar.update(task, completed=done, total=total),
            )

    verified = with_services(settings_of(data_dir), verify)
    if as_json:
        print_json(verified_view(verified))
    else:
        _print_verified(verified)
    sys.exit(1 if verified.count else 0)


@audit.command("head")
@data_dir_option
@org_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Append to this file instead.")
def audit_head(data_dir: Path | None, organization_id: str | None, out: Path | None) -> None:
    """Print the signed head of the audit chain, a line of JSON to be kept where nobody here can change it.

    \b
    Example:
      execlave-server audit head --out /mnt/elsewhere/heads.jsonl
    """

    async def sign(services: Services) -> SignedHead:
        organization = await find_organization(services, organization_id)
        head = await sign_present_head(services, organization)
        if head is None:
            raise NotFoundError(f"The audit chain of {organization.id} has no entry yet.")
        return head

    head = with_services(settings_of(data_dir), sign)
    if out is None:
        click.echo(head_line(head), nl=False)
    else:
        append_heads(out, [head])
        click.echo(f"Entry {head.seq}, {head.hash}")


@audit.command("export")
@data_dir_option
@org_option
@click.option("--trace", "trace_id", required=True, help="The trace's id.")
@click.option("--head", "head_file", type=_FILE, help="Anchor it on the newest of these heads kept apart.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file. [default: print it]")
def audit_export(
    data_dir: Path | None, organization_id: str | None, trace_id: str, head_file: Path | None, out: Path | None
) -> None:
    """Write the evidence of a trace and its decisions as one file, to be checked offline with verify_evidence.py.

    That script is one file of this package and of its documentation; --out says where it is here. It needs Python's
    standard library and nothing else.

    \b
    Example:
      execlave-server audit export --trace tr_0123456789abcdef --out evidence.json
    """
    heads = _read_heads(head_file)

    async def export(services: Services) -> bytes:
        return await export_evidence(services, await find_organization(services, organization_id), trace_id, heads)

    evidence = with_services(settings_of(data_dir), export)
    if out is None:
        click.echo(evidence, nl=False)
    else:
        out.write_bytes(evidence)
        click.echo(f"Wrote {out}. Check it offline: python3 -I {offline_script()} {out}")


def offline_script() -> Path:
    """Where the script is that checks an evidence file: in the package as installed, or in a source tree's docs."""
    packaged = Path(execlave_server.__file__).with_name(OFFLINE_SCRIPT)
    return packaged if packaged.is_file() else packaged.parents[2] / "docs" / OFFLINE_SCRIPT


@click.command
@data_dir_option
@org_option
@click.option("--user", "user_id", required=True, help="The userId that traces name.")
@json_option
def erase(data_dir: Path | None, organization_id: str | None, user_id: str, *, as_json: bool) -> None:
    """Erase the content of every trace and approval that names a user; records and proofs stay, and say so.

    What Datadog has already received is deleted there. Run again, it goes on where it was stopped.

    \b
    Example:
      execlave-server erase --user user-4711
    """

    async def erase_all(services: Services) -> Erased:
        organization = await find_organization(services, organization_id)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("erasing", total=None)
            return await erase_user(
                services,
                organization,
                user_id,
                lambda done, total: bar.update(task, completed=done, total=total),
            )

    erased = with_services(settings_of(data_dir), erase_all)
    if as_json:
        print_json(
            {
                "traces": erased.traces,
                "decisions": erased.decisions,
                "approvals": erased.approvals,
                "openApprovals": erased.open_approvals,
            }
        )
        return
    kinds = f"{erased.traces} traces, {erased.decisions} decisions and {erased.approvals} approvals"
    click.echo(f"Erased the content of {kinds}.")
    if erased.open_approvals:
        click.echo(
            f"{erased.open_approvals} approvals are still open: run it again in 40 minutes for the rest of them."
        )


def verified_view(verified: Verified) -> dict[str, Any]:
    """A verification as `--json` shows it."""
    summary = verified.summary
    return {
        "organizationId": verified.organization_id,
        "ok": verified.count == 0,
        "entries": summary.entries,
        "newestEntry": summary.newest_entry,
        "anchoredEntries": summary.anchored_entries,
        "batches": summary.batches,
        "leaves": summary.leaves,
        "logs": verified.logs,
        "swept": summary.swept,
        "unanchored": summary.unanchored,
        "findingCount": verified.count,
        "findings": verified.findings,
    }


def _print_verified(verified: Verified) -> None:
    summary = verified.summary
    for finding in verified.findings:
        click.echo(f"FAILED  {finding.code}  {finding.where} {finding.what}: {finding.why}", err=True)
    for swept in summary.swept:
        click.echo(f"swept       batches {swept.first} to {swept.last} ({swept.batches}), by entry {swept.entry}")
    for old in summary.unanchored:
        click.echo(f"unanchored  batches {old.first} to {old.last} ({old.batches}), from before the chain")
    click.echo(
        f"{verified.organization_id}: {summary.entries} entries, {summary.batches} batches, {summary.leaves} leaves, "
        f"{verified.logs} logs; anchored up to entry {summary.anchored_entries} of {summary.newest_entry}."
    )
    click.echo(f"{verified.count} findings." if verified.count else "Everything is as it was recorded.")


def _read_heads(path: Path | None) -> list[SignedHead]:
    if path is None:
        return []
    try:
        return read_heads(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise BadRequestError(f"{path} is no file of heads: {error}.") from error


def _read_logs(path: Path | None) -> Iterator[LogAnchor]:
    if path is None:
        return
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for anchor in log_anchors(lines):
                if anchor is not None:
                    yield anchor
    except (msgspec.MsgspecError, OSError) as error:
        raise BadRequestError(f"{path} is no export of logs, JSON on each line: {error}.") from error
