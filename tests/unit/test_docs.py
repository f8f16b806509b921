"""The references say everything there is, and nothing that is not."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from execlave_server import errors
from execlave_server.api.routes import ROUTES, UNPREFIXED
from execlave_server.cli import commands
from execlave_server.datadog.logs import ExeclaveFields, LogMiddle
from execlave_server.datadog.try_connection import Finding
from execlave_server.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def read(name: str) -> str:
    """One page of the reference."""
    return (REFERENCE / name).read_text()


@pytest.mark.parametrize("setting", [setting.name for setting in fields(Settings)])
def test_each_setting_is_documented(setting):
    """Each setting stands in the settings' reference by its name."""
    assert f"`{setting.upper()}`" in read("settings.md")


@pytest.mark.parametrize("route", [*ROUTES, *UNPREFIXED], ids=lambda route: f"{route.method} {route.path}")
def test_each_route_is_documented(route):
    """Each route stands in the HTTP reference, with its method somewhere on the line."""
    path = route.path.replace(":path", "")
    lines = [line for line in read("http-api.md").splitlines() if line.startswith("|")]
    last = path.rsplit("/", 1)[-1]

    assert any(route.method in line and (path in line or f"`/{last}`" in line) for line in lines)


def public_commands() -> list[str]:
    """Every command a person may call."""
    found = []
    for name, command in commands.commands.items():
        if isinstance(command, click.Group):
            found += [f"{name} {inner}" for inner in command.commands]
        elif not command.hidden:
            found.append(name)
    return found


@pytest.mark.parametrize("command", public_commands())
def test_each_command_is_documented(command):
    """Each command stands in the commands' reference: its group and its own name on one line."""
    group, _, name = command.partition(" ")
    wanted = re.compile(rf"`{group}\b.*\b{name}\b" if name else rf"`{group}\b")

    assert wanted.search(read("commands.md"))


@pytest.mark.parametrize("command", public_commands())
def test_each_command_has_an_example(command):
    """The help of each command has an example."""
    group, _, name = command.partition(" ")
    found = commands.commands[group]
    found = found.commands[name] if isinstance(found, click.Group) else found
    found = next(iter(found.commands.values())) if isinstance(found, click.Group) else found

    assert "Example:" in (found.help or "")


@pytest.mark.parametrize("name", [*LogMiddle.__struct_fields__, *ExeclaveFields.__struct_fields__])
def test_each_attribute_is_documented(name):
    """Each attribute of the log stands in the log's reference."""
    assert re.search(rf"`(execlave\.)?{name}`", read("log-format.md"))


@pytest.mark.parametrize("finding", list(Finding))
def test_each_finding_is_documented(finding):
    """Each finding of Test connection stands in the HTTP reference."""
    assert f"`{finding}`" in read("http-api.md")


def test_each_error_code_is_documented():
    """Each code that the API may answer stands in the HTTP reference."""
    codes = {
        error.code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ExeclaveServerError)
    }
    only_commands = {"BAD_SETTING", "DATA_DIR", "SECRET", "BACKUP"}

    missing = {code for code in codes - only_commands if f"`{code}`" not in read("http-api.md")}
    assert missing == set()
