"""Approvals on the command line. Whoever decides is a person here too, and proves it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from execlave_server.actions.decide_approval import deny_approval, grant_approval
from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.read_approvals import APPROVALS_PER_PAGE_MAX, list_approvals
from execlave_server.actions.services import Services
from execlave_server.actions.sign_in import (
    COMMAND_LINE,
    SESSION_PATTERN,
    Credentials,
    identify_person,
    plain_email,
    prove_person,
)
from execlave_server.api.approvals import approval_view, status_named
from execlave_server.cli.options import (
    data_dir_option,
    json_option,
    org_option,
    print_json,
    print_table,
    settings_of,
    with_services,
)
from execlave_server.cli.people import read_password
from execlave_server.errors import SessionEndedError
from execlave_server.model.approvals import Approval, ApprovalStatus
from execlave_server.model.people import Person
from execlave_server.model.secret import Secret

Decide = Callable[[Services, Person, str, str], Awaitable[Approval]]

_as_option = click.option("--as", "email", required=True, help="Who decides: the email of a person who may.")
_reason_option = click.option("--reason", required=True, help="Why; kept with the approval.")


@click.group
def approval() -> None:
    """Actions that wait for a person."""


@approval.command("list")
@data_dir_option
@org_option
@click.option("--status", type=click.Choice([status.value for status in ApprovalStatus]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, APPROVALS_PER_PAGE_MAX), default=50, show_default=True)
@json_option
def approval_list(
    data_dir: Path | None, organization_id: str | None, status: str | None, limit: int, *, as_json: bool
) -> None:
    """List approvals, the newest first.

    \b
    Example:
      execlave-server approval list --status pending
    """

    async def read(services: Services) -> tuple[list[Approval], int]:
        organization = await find_organization(services, organization_id)
        found, _ = await list_approvals(
            services, organization.number, status=status_named(status), limit=limit, offset=0
        )
        return found, services.clock.now_us()

    found, now_us = with_services(settings_of(data_dir), read)
    views = [approval_view(each, now_us) for each in found]
    if as_json:
        print_json(views)
        return
    columns = ["id", "status", "riskLevel", "routedTo", "agentId", "requestedAt", "expiresAt"]
    print_table([name.upper() for name in columns], [[each[name] or "" for name in columns] for each in views])


@approval.command("grant")
@click.argument("approval_id")
@data_dir_option
@org_option
@_as_option
@_reason_option
@json_option
def approval_grant(
    approval_id: str, data_dir: Path | None, organization_id: str | None, email: str, reason: str, *, as_json: bool
) -> None:
    """Let an action run once, within ten minutes. The password (or a session token) comes as `user add`'s does.

    \b
    Example:
      printf %s "$PASSWORD" | execlave-server approval grant apr_0123456789abcdef \\
        --as ada@example.com --reason "Ticket 4711"
    """
    _decide(grant_approval, approval_id, data_dir, organization_id, email, reason, as_json=as_json)


@approval.command("deny")
@click.argument("approval_id")
@data_dir_option
@org_option
@_as_option
@_reason_option
@json_option
def approval_deny(
    approval_id: str, data_dir: Path | None, organization_id: str | None, email: str, reason: str, *, as_json: bool
) -> None:
    """Keep an action from running. The password (or a session token) comes as `user add`'s does.

    \b
    Example:
      printf %s "$PASSWORD" | execlave-server approval deny apr_0123456789abcdef \\
        --as ada@example.com --reason "Not now"
    """
    _decide(deny_approval, approval_id, data_dir, organization_id, email, reason, as_json=as_json)


def _decide(
    decide: Decide,
    approval_id: str,
    data_dir: Path | None,
    organization_id: str | None,
    email: str,
    reason: str,
    *,
    as_json: bool,
) -> None:
    secret = read_password(f"Password of {email}", confirm=False)

    async def run(services: Services) -> tuple[Approval, int]:
        organization = await find_organization(services, organization_id)
        person = await _identify(services, organization.id, email, secret)
        return await decide(services, person, approval_id, reason), services.clock.now_us()

    decided, now_us = with_services(settings_of(data_dir), run)
    if as_json:
        print_json(approval_view(decided, now_us))
    else:
        click.echo(f"{decided.id}  {decided.status_at(now_us)}")


async def _identify(services: Services, organization_id: str, email: str, secret: Secret) -> Person:
    """The person, by password or by session token."""
    if not SESSION_PATTERN.fullmatch(secret.reveal()):
        return await prove_person(services, Credentials(email, secret, organization_id, COMMAND_LINE))
    person = await identify_person(services, secret.reveal())
    if (person.email, person.organization_id) != (plain_email(email), organization_id):
        raise SessionEndedError(f"This is not a session of {plain_email(email)} in {organization_id}.")
    return person
