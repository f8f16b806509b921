"""The command line."""

import sys
from importlib import import_module

import click

from execlave_server import __version__
from execlave_server.errors import ExeclaveServerError

# The module of each command, imported when that is asked for: to import them all takes longer than most of them run.
MODULES = {
    "approval": "approvals",
    "audit": "audit",
    "backup": "keeping",
    "copy": "copying",
    "datadog": "datadog",
    "deliveries": "deliveries",
    "demo": "demo",
    "destination": "destinations",
    "doctor": "doctor",
    "erase": "audit",
    "init": "installation",
    "key": "installation",
    "migrate": "installation",
    "org": "installation",
    "policy": "policies",
    "restore": "keeping",
    "sandbox": "sandbox",
    "secrets": "secrets",
    "serve": "serve",
    "server-process": "server_process",
    "sweep": "keeping",
    "user": "people",
    "worker": "worker",
}


class Commands(click.Group):
    """The commands of MODULES, each a function of its name there."""

    def every(self) -> dict[str, click.Command]:
        """All of them by name; it imports them all."""
        context = click.Context(self)
        return {name: command for name in MODULES if (command := self.get_command(context, name))}

    def list_commands(self, _: click.Context) -> list[str]:
        """Their names."""
        return sorted(MODULES)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """The command, or None where there is none of that name."""
        if name not in MODULES:
            return None
        found: click.Command = getattr(import_module(f"{__name__}.{MODULES[name]}"), name.replace("-", "_"))
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="execlave-server")
def commands() -> None:
    """Govern AI agents, and stream every trace to Datadog Logs.

    \b
    Start here:
      execlave-server init
      execlave-server serve
    """


def main() -> None:
    """Run a command; an error of ours is one clear line and exit code 1."""
    try:
        commands(prog_name="execlave-server")
    except ExeclaveServerError as error:
        click.echo(f"Error [{error.code}]: {error.message}", err=True)
        sys.exit(1)
