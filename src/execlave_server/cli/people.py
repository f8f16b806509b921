"""People on the command line: who may sign in."""

import sys
from pathlib import Path

import click

from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.manage_people import add_person, change_password, disable_person, list_people
from execlave_server.actions.services import Services
from execlave_server.api.people import person_view
from execlave_server.cli.options import (
    data_dir_option,
    json_option,
    org_option,
    print_json,
    print_table,
    settings_of,
    with_services,
)
from execlave_server.model.people import Person, PersonRole
from execlave_server.model.secret import Secret

_ROLES = click.Choice([role.value for role in PersonRole])


def read_password(prompt: str, *, confirm: bool) -> Secret:
    """A password: asked for on a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        text: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    else:
        text = sys.stdin.buffer.readline().decode(errors="replace").rstrip("\r\n")
    return Secret(text)


@click.group
def user() -> None:
    """People who sign in: to decide approvals, and to look."""


@user.command("add")
@click.argument("email")
@data_dir_option
@org_option
@click.option("--name", default="", help="How the person is called.")
@click.option("--role", type=_ROLES, required=True)
@json_option
def user_add(
    email: str, data_dir: Path | None, organization_id: str | None, name: str, role: str, *, as_json: bool
) -> None:
    """Add a person. The password is asked for, or read from standard input.

    \b
    Example:
      printf %s "$PASSWORD" | execlave-server user add ada@example.com --name "Ada" --role approver
    """
    password = read_password("Password", confirm=True)

    async def add(services: Services) -> Person:
        organization = await find_organization(services, organization_id)
        return await add_person(
            services, organization, email=email, name=name, role=PersonRole(role), password=password
        )

    added = with_services(settings_of(data_dir), add)
    if as_json:
        print_json(person_view(added))
    else:
        click.echo(f"{added.id}  {added.email}  {added.role}")


@user.command("list")
@data_dir_option
@org_option
@json_option
def user_list(data_dir: Path | None, organization_id: str | None, *, as_json: bool) -> None:
    """List the people, the disabled ones too.

    \b
    Example:
      execlave-server user list
    """

    async def read(services: Services) -> list[Person]:
        return await list_people(services, await find_organization(services, organization_id))

    found = [person_view(each) for each in with_services(settings_of(data_dir), read)]
    if as_json:
        print_json(found)
        return
    columns = ["id", "email", "name", "role", "disabledAt"]
    print_table([name.upper() for name in columns], [[each[name] or "" for name in columns] for each in found])


@user.command("disable")
@click.argument("email")
@data_dir_option
@org_option
def user_disable(email: str, data_dir: Path | None, organization_id: str | None) -> None:
    """Keep a person out: every session ends at once, and none begins.

    \b
    Example:
      execlave-server user disable ada@example.com
    """

    async def disable(services: Services) -> Person:
        return await disable_person(services, await find_organization(services, organization_id), email)

    click.echo(f"Disabled {with_services(settings_of(data_dir), disable).email}.")


@user.command("password")
@click.argument("email")
@data_dir_option
@org_option
def user_password(email: str, data_dir: Path | None, organization_id: str | None) -> None:
    """Set a person's password, which is asked for or read from standard input; every session of the person ends.

    \b
    Example:
      printf %s "$PASSWORD" | execlave-server user password ada@example.com
    """
    password = read_password("New password", confirm=True)

    async def change(services: Services) -> Person:
        return await change_password(services, await find_organization(services, organization_id), email, password)

    click.echo(f"Changed the password of {with_services(settings_of(data_dir), change).email}.")
