"""Datadog as code: render what is shipped, bring it into an account, and try monitors on stored traces."""

import os
import re
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.actions.backtest_monitors import Backtested, backtest_monitors
from execlave_server.actions.configure_destination import get_destination, list_destinations
from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.services import Services
from execlave_server.cli.backtest_report import backtest_view, print_backtest
from execlave_server.cli.options import (
    data_dir_option,
    json_option,
    org_option,
    print_json,
    settings_of,
    with_services,
)
from execlave_server.datadog.apply_resources import Account, Applier, Change, Step
from execlave_server.datadog.as_code.monitors import SHIPPED
from execlave_server.datadog.as_code.resources import Kind, bodies
from execlave_server.datadog.as_code.terraform import render_terraform
from execlave_server.datadog.monitors.read_monitors import read_monitors
from execlave_server.datadog.search.searchable_log import SERVICE_DEFAULT
from execlave_server.datadog.sites import endpoints, parse_site
from execlave_server.model.secret import Secret

_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNIT_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_SIGNS = {Change.CREATE: "+", Change.UPDATE: "~", Change.KEEP: " "}
_KINDS = click.Choice([kind.value for kind in Kind])
_notify_option = click.option(
    "--notify", default="", metavar="HANDLES", help="Whom the monitors tell, e.g. '@slack-security'. [default: nobody]"
)


@click.group
def datadog() -> None:
    """Datadog as code: monitors, log pipeline, metrics, dashboard and Cloud SIEM rules."""


@datadog.command("render")
@click.argument("kind", type=_KINDS)
@click.option(
    "--format", "form", type=click.Choice(["json", "terraform"]), default="json", show_default=True, help="How."
)
@_notify_option
@json_option
def datadog_render(kind: str, form: str, notify: str, *, as_json: bool) -> None:
    """Print what is shipped, as the bodies that Datadog's API takes or as Terraform. Needs nothing but this command.

    JSON is a list of bodies. Terraform is for the provider DataDog/datadog.

    \b
    Example:
      execlave-server datadog render monitors --format terraform --notify '@slack-security' > execlave_monitors.tf
    """
    if form == "terraform" and as_json:
        raise click.UsageError("--json and --format terraform exclude each other.")
    if form == "terraform":
        click.echo(render_terraform(Kind(kind), notify), nl=False)
    else:
        print_json(bodies(Kind(kind), notify))


@datadog.command("apply")
@click.argument("kinds", nargs=-1, type=_KINDS)
@data_dir_option
@click.option("--site", help="Datadog's site. [env: DD_SITE; default: datadoghq.com]")
@click.option("--api-url", help="The API's address instead of the site's, e.g. of a proxy or of the sandbox.")
@_notify_option
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def datadog_apply(
    kinds: tuple[str, ...],
    data_dir: Path | None,
    site: str | None,
    api_url: str | None,
    notify: str,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Bring what is shipped into a Datadog account: all of it, or the kinds named. Shows the plan first.

    Monitors are found again by their tag, metrics by their id, the rest by name; run again, nothing changes. What is
    not shipped is never touched. The API key is read from DD_API_KEY and the application key from DD_APP_KEY, or asked
    for. Needs the extra `datadog`.

    \b
    Example:
      DD_API_KEY=... DD_APP_KEY=... execlave-server datadog apply monitors pipeline --site datadoghq.eu --dry-run
    """
    applier = Applier(_account(data_dir, site, api_url))
    wanted = [kind for kind in Kind if kind in kinds or not kinds]
    steps = applier.plan(wanted, notify)
    if not as_json:
        _print_plan(steps)
    waiting = [step for step in steps if step.change is not Change.KEEP]
    applied = bool(waiting) and not dry_run and _is_sure(len(waiting), sure=yes or as_json)
    if applied:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("apply", total=len(waiting))
            for _ in applier.apply(steps):
                bar.advance(task)
    if as_json:
        plan = [
            {"change": step.change, "kind": step.kind, "name": step.name, "fields": list(step.fields)} for step in steps
        ]
        print_json({"applied": applied, "plan": plan})
    else:
        click.echo(f"Changed {len(waiting)} resources." if applied else "Nothing was changed.")


def _account(data_dir: Path | None, site: str | None, api_url: str | None) -> Account:
    settings = settings_of(data_dir)
    named = parse_site(site or os.environ.get("DD_SITE") or "datadoghq.com", sandbox=bool(settings.datadog_sandbox_url))
    derived = endpoints(
        named,
        sandbox_url=settings.datadog_sandbox_url or None,
        intake_urls=settings.datadog_intake_urls,
        api_urls=settings.datadog_api_urls,
    )
    if api_url and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", api_url):
        raise click.BadParameter("give an address like https://api.datadoghq.eu", param_hint="--api-url")
    return Account(
        api_url=api_url or derived.api_url,
        api_key=_key("DD_API_KEY", "API key"),
        app_key=_key("DD_APP_KEY", "Application key"),
        proxy=settings.https_proxy,
        ca_file=settings.ca_file,
    )


def _key(variable: str, what: str) -> Secret:
    """From the environment, or asked for without showing it; never from the command line."""
    given = os.environ.get(variable) or click.prompt(what, hide_input=True, err=True)
    return Secret(str(given).strip())


def _is_sure(count: int, *, sure: bool) -> bool:
    return sure or click.confirm(f"Change {count} resources?", err=True)


def _print_plan(steps: list[Step]) -> None:
    for step in steps:
        fields = f"  ({', '.join(step.fields)})" if step.fields else ""
        click.echo(f"{_SIGNS[step.change]} {step.change:9}  {step.kind:9}  {step.name}{fields}")


def _span_us(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    found = _SPAN.fullmatch(text)
    if not found:
        raise click.BadParameter("say how long back: 90m, 24h or 7d.")
    return int(found[1]) * _UNIT_US[found[2]]


@datadog.command("backtest")
@data_dir_option
@org_option
@click.option("--last", "span_us", default="7d", show_default=True, callback=_span_us, metavar="SPAN", help="How far.")
@click.option(
    "--monitor",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A monitor's JSON, or a list of them. May be repeated. [default: the shipped ones]",
)
@click.option("--destination", "destination_id", help="Whose service and tags the logs carry. [default: the first one]")
@json_option
def datadog_backtest(
    data_dir: Path | None,
    organization_id: str | None,
    span_us: int,
    files: tuple[Path, ...],
    destination_id: str | None,
    *,
    as_json: bool,
) -> None:
    """Evaluate monitors over stored traces: when each would have fired, and for whom. Changes nothing.

    Each log counts as if it had reached Datadog the moment it was received. Heartbeats are stored nowhere, so monitors
    of the stream cannot be tested. A monitor's file needs no more than {"query": "logs(...) > 1"}.

    \b
    Example:
      execlave-server datadog backtest --last 7d --monitor my-monitor.json
    """
    definitions = [each for file in files for each in read_monitors(file.read_bytes())]
    if not files:
        definitions = [each.definition for each in SHIPPED]

    async def run(services: Services) -> Backtested:
        organization = (await find_organization(services, organization_id)).number
        service, ddtags = await _dress(services, organization, destination_id)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("traces", total=None)

            def report(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            return await backtest_monitors(
                services, organization, definitions, span_us=span_us, service=service, ddtags=ddtags, report=report
            )

    found = with_services(settings_of(data_dir), run)
    if as_json:
        print_json(backtest_view(found))
    else:
        print_backtest(found)


async def _dress(services: Services, organization: int, destination_id: str | None) -> tuple[str, str]:
    """The service and tags that the logs carry."""
    if destination_id is not None:
        destination = await get_destination(services, organization, destination_id)
        return destination.service, destination.ddtags
    there = await list_destinations(services, organization)
    return (there[0].service, there[0].ddtags) if there else (SERVICE_DEFAULT, "")
