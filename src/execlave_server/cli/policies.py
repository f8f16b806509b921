"""Policies kept as files: check them, bring them into force, and see what they would have changed."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.lint_policies import Linted, lint_policies
from execlave_server.actions.read_policies import StoredPolicy, list_policies
from execlave_server.actions.read_shadow import SHADOW_HOURS_MAX, Shadow, read_shadow
from execlave_server.actions.replay_policies import TRACES_MAX, Comparison, Replayed, replay_policies
from execlave_server.actions.services import Services
from execlave_server.actions.sync_policies import Change, Done, Step, plan_policies, sync_policies
from execlave_server.api.policies import policy_view, shadow_view
from execlave_server.api.times import iso
from execlave_server.cli.options import (
    data_dir_option,
    json_option,
    org_option,
    print_json,
    print_table,
    settings_of,
    with_services,
)

_PATHS = click.Path(path_type=Path, exists=True)
_SUFFIXES = {".json", ".toml"}
_SPAN = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNIT_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_SIGNS = {Change.CREATE: "+", Change.CHANGE: "~", Change.DELETE: "-", Change.KEEP: " "}


@click.group
def policy() -> None:
    """Policies, and policies kept as files (JSON or TOML, one or many a file; a folder means every one in it)."""


@policy.command("lint")
@click.argument("paths", nargs=-1, required=True, type=_PATHS)
@json_option
def policy_lint(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Check policy files, and say everything that is wrong with them. Needs no data directory.

    \b
    Example:
      execlave-server policy lint policies/
    """
    linted = _lint(paths)
    if as_json:
        complaints = [
            {"file": each.file, "policy": each.policy, "field": each.field, "message": each.what}
            for each in linted.complaints
        ]
        print_json({"policies": len(linted.policies), "complaints": complaints})
    else:
        _print_complaints(linted)
        click.echo(f"Valid policies: {len(linted.policies)}.")
    if linted.complaints:
        sys.exit(1)


@policy.command("sync")
@click.argument("paths", nargs=-1, required=True, type=_PATHS)
@data_dir_option
@org_option
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("--delete", is_flag=True, help="Also delete the policies that no file names.")
@json_option
def policy_sync(
    paths: tuple[Path, ...],
    data_dir: Path | None,
    organization_id: str | None,
    *,
    dry_run: bool,
    delete: bool,
    as_json: bool,
) -> None:
    """Make the organization's policies those of the files, by name. Shows the plan first; run again it changes nothing.

    \b
    Example:
      execlave-server policy sync policies/ --dry-run
    """
    linted = _require_valid(paths)

    async def run(services: Services) -> tuple[list[Step], list[Done]]:
        organization = (await find_organization(services, organization_id)).number
        steps = await plan_policies(services, organization, linted.policies, delete=delete)
        if not as_json:
            _print_plan(steps)
        done: list[Done] = []
        if not dry_run:
            waiting = [step for step in steps if step.change is not Change.KEEP]
            with Progress(console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("sync", total=len(waiting))
                async for each in sync_policies(services, organization, waiting):
                    done.append(each)
                    bar.advance(task)
        return steps, done

    steps, done = with_services(settings_of(data_dir), run)
    if as_json:
        _print_sync(steps, done, dry_run=dry_run)
        return
    for each in done:
        if each.secret:
            click.echo(f"Secret of {each.step.name!r} ({each.policy_id}), shown once: {each.secret.reveal()}")
    click.echo("Nothing was changed." if dry_run or not done else f"Changed {len(done)} policies.")


@policy.command("list")
@data_dir_option
@org_option
@json_option
def policy_list(data_dir: Path | None, organization_id: str | None, *, as_json: bool) -> None:
    """List the policies of an organization.

    \b
    Example:
      execlave-server policy list
    """

    async def read(services: Services) -> list[StoredPolicy]:
        return await list_policies(services.store, (await find_organization(services, organization_id)).number)

    found = with_services(settings_of(data_dir), read)
    if as_json:
        print_json([policy_view(each) for each in found])
        return
    rows = []
    for stored in found:
        each = stored.policy
        agents = ", ".join(each.applies_to_agents) or "*"
        rows.append([
            each.id, str(each.version), each.policy_type, each.enforcement_mode, each.failure_mode,
            "yes" if each.is_active else "no", agents, each.name,
        ])  # fmt: skip
    print_table(["ID", "VERSION", "TYPE", "MODE", "FAILURE", "ACTIVE", "AGENTS", "NAME"], rows)


def _span_us(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    found = _SPAN.fullmatch(text)
    if not found:
        raise click.BadParameter("say how long back: 90m, 24h or 7d.")
    return int(found[1]) * _UNIT_US[found[2]]


@policy.command("test")
@click.argument("file", type=_PATHS)
@data_dir_option
@org_option
@click.option(
    "--against-traces", "span_us", required=True, callback=_span_us, metavar="SPAN", help="How far back, e.g. 24h."
)
@click.option(
    "--limit",
    type=click.IntRange(1, TRACES_MAX),
    default=100_000,
    show_default=True,
    help="Judge no more traces than this, the oldest of the span first.",
)
@json_option
def policy_test(
    file: Path, data_dir: Path | None, organization_id: str | None, span_us: int, limit: int, *, as_json: bool
) -> None:
    """Run stored traces through draft policies and print what would have been different. Changes nothing.

    A draft is compared with the policy in force under the same name, and what that one said in stored decisions is
    shown beside (its shadow, when it is in monitor mode). Counts and sums of limits are simulated over the traces;
    validators are not asked. Traces are named by their ids, never quoted.

    \b
    Example:
      execlave-server policy test policies/no-deletions.json --against-traces 24h
    """
    drafts = [each.policy for each in _require_valid((file,)).policies]

    async def run(services: Services) -> tuple[Replayed, dict[str, Shadow]]:
        organization = await find_organization(services, organization_id)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("traces", total=None)

            def report(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            from_us = services.clock.now_us() - span_us
            replayed = await replay_policies(
                services, organization, drafts, from_us=from_us, traces_max=limit, report=report
            )
        hours = min(-(-span_us // _UNIT_US["h"]), SHADOW_HOURS_MAX)
        shadows = {
            each.name: await read_shadow(services, organization.number, each.replaces, hours)
            for each in replayed.comparisons
            if each.replaces
        }
        return replayed, shadows

    replayed, shadows = with_services(settings_of(data_dir), run)
    if as_json:
        print_json({
            "from": iso(replayed.from_us),
            "traces": replayed.traces,
            "complete": replayed.complete,
            "unreadable": replayed.unreadable,
            "policies": [_comparison_view(each, shadows.get(each.name)) for each in replayed.comparisons],
        })  # fmt: skip
        return
    for each in replayed.comparisons:
        _print_comparison(each, shadows.get(each.name))
    more = "" if replayed.complete else "; there are more: raise --limit"
    click.echo(f"{replayed.traces:,} traces since {iso(replayed.from_us)}{more}.")


def _lint(paths: Sequence[Path]) -> Linted:
    return lint_policies((str(path), path.read_bytes()) for path in _files(paths))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """Files as they are named; of folders every policy file in them."""
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
        else:
            yield path


def _require_valid(paths: Sequence[Path]) -> Linted:
    linted = _lint(paths)
    if linted.complaints:
        _print_complaints(linted)
        sys.exit(1)
    return linted


def _print_complaints(linted: Linted) -> None:
    for complaint in linted.complaints:
        click.echo(complaint.line, err=True)


def _print_plan(steps: Sequence[Step]) -> None:
    for step in steps:
        click.echo(f"{_SIGNS[step.change]} {step.change:6}  {step.name}")


def _print_sync(steps: Sequence[Step], done: Sequence[Done], *, dry_run: bool) -> None:
    taken = {each.step.name: each for each in done}
    shown = []
    for step in steps:
        each = taken.get(step.name)
        policy_id = each.policy_id if each else step.stored.id if step.stored else None
        secret = {"validatorSecret": each.secret.reveal()} if each and each.secret else {}
        shown.append({"change": step.change, "name": step.name, "id": policy_id, **secret})
    print_json({"applied": not dry_run, "plan": shown})


def _comparison_view(comparison: Comparison, shadow: Shadow | None) -> dict[str, object]:
    return {
        "name": comparison.name,
        "policyType": comparison.policy_type,
        "replaces": comparison.replaces,
        "said": dict(comparison.said),
        "unevaluated": comparison.unevaluated,
        "stricter": comparison.stricter,
        "looser": comparison.looser,
        "stricterExamples": comparison.stricter_examples,
        "looserExamples": comparison.looser_examples,
        "shadow": shadow_view(shadow) if shadow else None,
    }


def _print_comparison(comparison: Comparison, shadow: Shadow | None) -> None:
    said = ", ".join(f"{mode} {count:,}" for mode, count in sorted(comparison.said.items())) or "no objection"
    against = f"against {comparison.replaces}" if comparison.replaces else "new"
    click.echo(f"{comparison.name} ({comparison.policy_type}, {against}): {said}")
    if comparison.unevaluated:
        click.echo(f"  could not be evaluated: {comparison.unevaluated:,}")
    for word, count, examples in (
        ("stricter", comparison.stricter, comparison.stricter_examples),
        ("looser", comparison.looser, comparison.looser_examples),
    ):
        if count:
            click.echo(f"  {word} for {count:,}, e.g. {', '.join(examples)}")
    if shadow:
        past = ", ".join(f"{mode} {count:,}" for mode, count in sorted(shadow.modes.items())) or "no objection"
        click.echo(f"  in {shadow.decisions:,} stored decisions the one in force said: {past}")
