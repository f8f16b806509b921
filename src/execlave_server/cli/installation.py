"""Making a data directory, organizations and API keys."""

import asyncio
from pathlib import Path

import click

from execlave_server.actions.issue_key import create_organization, find_organization, issue_key, list_keys, revoke_key
from execlave_server.actions.services import Services
from execlave_server.api.times import iso
from execlave_server.app.database import migrate_store, uses_postgres
from execlave_server.app.installation import initialise
from execlave_server.app.key_file import key_file
from execlave_server.cli.options import (
    data_dir_option,
    json_option,
    org_option,
    print_json,
    print_table,
    settings_of,
    with_services,
)
from execlave_server.clock import SystemClock
from execlave_server.model.organizations import KeyEnvironment, Organization, Role
from execlave_server.model.secret import Secret

_ENVIRONMENTS = click.Choice([environment.value for environment in KeyEnvironment])
_ROLES = click.Choice([role.value for role in Role])


@click.command
@data_dir_option
@json_option
def init(data_dir: Path | None, *, as_json: bool) -> None:
    """Make a data directory with one organization and its first two API keys.

    \b
    Example:
      execlave-server init --data-dir ./execlave-data

    The keys are shown once. The key-encryption key is written beside the data directory, readable by you alone: back
    it up apart from the data.
    """
    settings = settings_of(data_dir)
    asyncio.run(initialise(settings, SystemClock()))

    async def make(services: Services) -> tuple[Organization, Secret, Secret]:
        organization = await create_organization(services, "default")
        environment = KeyEnvironment.PRODUCTION
        _, agent = await issue_key(services, organization, name="first", environment=environment, role=Role.AGENT)
        _, admin = await issue_key(services, organization, name="first", environment=environment, role=Role.ADMIN)
        return organization, agent, admin

    organization, agent, admin = with_services(settings, make)
    if as_json:
        made = {"organizationId": organization.id, "apiKey": agent.reveal(), "adminKey": admin.reveal()}
        print_json(made)
        return
    click.echo(f"Data directory     {settings.data_dir}")
    if uses_postgres(settings):
        click.echo("Database           PostgreSQL, of EXECLAVE_SERVER_DATABASE_URL")
    click.echo(f"Key-encryption key {key_file(settings)} (back it up apart from the data)")
    click.echo(f"Organization       {organization.id}")
    click.echo(f"API key (agent)    {agent.reveal()}")
    click.echo(f"API key (admin)    {admin.reveal()}")
    click.echo("The API keys are shown this once. Next: execlave-server serve. It prints a link for the first person.")


@click.command
@data_dir_option
def migrate(data_dir: Path | None) -> None:
    """Bring a data directory of an older version up to date.

    \b
    Example:
      execlave-server migrate --data-dir ./execlave-data
    """
    applied = asyncio.run(migrate_store(settings_of(data_dir), SystemClock()))
    click.echo(f"Applied: {', '.join(applied)}" if applied else "Up to date.")


@click.group
def org() -> None:
    """Organizations: everything belongs to one, and none sees another's."""


@org.command("create")
@click.argument("name")
@data_dir_option
@json_option
def org_create(name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Add an organization.

    \b
    Example:
      execlave-server org create "Support" --json
    """
    made = with_services(settings_of(data_dir), lambda services: create_organization(services, name))
    if as_json:
        print_json({"id": made.id, "name": made.name})
    else:
        click.echo(made.id)


@org.command("list")
@data_dir_option
@json_option
def org_list(data_dir: Path | None, *, as_json: bool) -> None:
    """List the organizations.

    \b
    Example:
      execlave-server org list
    """
    found = with_services(
        settings_of(data_dir), lambda services: services.store.find(Organization, "list_organizations")
    )
    if as_json:
        print_json([{"id": each.id, "name": each.name, "createdAt": iso(each.created_at_us)} for each in found])
    else:
        print_table(["ID", "NAME"], [[each.id, each.name] for each in found])


@click.group
def key() -> None:
    """API keys: `agent` keys speak the SDK's contract only, `admin` keys may do everything."""


@key.command("create")
@data_dir_option
@org_option
@click.option("--environment", type=_ENVIRONMENTS, default="prod", show_default=True)
@click.option("--role", type=_ROLES, default="agent", show_default=True)
@click.option("--name", default="", help="What the key is for.")
@json_option
def key_create(
    data_dir: Path | None, organization_id: str | None, environment: str, role: str, name: str, *, as_json: bool
) -> None:
    """Create an API key. It is shown this once.

    \b
    Example:
      execlave-server key create --environment prod --role agent --json
    """

    async def make(services: Services) -> tuple[str, str, Secret]:
        organization = await find_organization(services, organization_id)
        key_id, made = await issue_key(
            services, organization, name=name, environment=KeyEnvironment(environment), role=Role(role)
        )
        return organization.id, key_id, made

    organization, key_id, made = with_services(settings_of(data_dir), make)
    if as_json:
        print_json({"id": key_id, "organizationId": organization, "role": role, "apiKey": made.reveal()})
    else:
        click.echo(made.reveal())


@key.command("list")
@data_dir_option
@org_option
@json_option
def key_list(data_dir: Path | None, organization_id: str | None, *, as_json: bool) -> None:
    """List the API keys, without the keys.

    \b
    Example:
      execlave-server key list
    """

    async def read(services: Services) -> list[dict[str, str | None]]:
        organization = await find_organization(services, organization_id)
        return [
            {
                "id": each.id,
                "name": each.name,
                "environment": each.environment,
                "role": each.role,
                "lastFour": each.hint,
                "createdAt": iso(each.created_at_us),
                "revokedAt": iso(each.revoked_at_us),
            }
            for each in await list_keys(services, organization)
        ]

    found = with_services(settings_of(data_dir), read)
    if as_json:
        print_json(found)
    else:
        columns = ["id", "role", "environment", "lastFour", "name", "revokedAt"]
        print_table([name.upper() for name in columns], [[each[name] or "" for name in columns] for each in found])


@key.command("revoke")
@click.argument("key_id")
@data_dir_option
@org_option
def key_revoke(key_id: str, data_dir: Path | None, organization_id: str | None) -> None:
    """Revoke an API key; from now on nothing is decided or stored under it.

    \b
    Example:
      execlave-server key revoke key_0123456789abcdef
    """

    async def revoke(services: Services) -> None:
        await revoke_key(services, await find_organization(services, organization_id), key_id)

    with_services(settings_of(data_dir), revoke)
    click.echo(f"Revoked {key_id}.")
