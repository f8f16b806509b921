"""The command line."""

import sys

import click

from execlave_server import __version__
from execlave_server.cli.approvals import approval
from execlave_server.cli.audit import audit, erase
from execlave_server.cli.copying import copy
from execlave_server.cli.datadog import datadog
from execlave_server.cli.deliveries import deliveries
from execlave_server.cli.destinations import destination
from execlave_server.cli.doctor import doctor
from execlave_server.cli.installation import init, key, migrate, org
from execlave_server.cli.keeping import backup, restore, sweep
from execlave_server.cli.people import user
from execlave_server.cli.policies import policy
from execlave_server.cli.running import demo, sandbox, serve, server_process, worker
from execlave_server.cli.secrets import secrets
from execlave_server.errors import ExeclaveServerError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="execlave-server")
def commands() -> None:
    """Govern AI agents, and stream every trace to Datadog Logs.

    \b
    Start here:
      execlave-server init
      execlave-server serve
    """


for command in (
    *(init, migrate, copy, org, key, user, approval, policy, destination, deliveries, datadog, doctor, secrets),
    *(sweep, backup, restore, audit, erase, serve, worker, sandbox, demo, server_process),
):
    commands.add_command(command)


def main() -> None:
    """Run a command; an error of ours is one clear line and exit code 1."""
    try:
        commands(prog_name="execlave-server")
    except ExeclaveServerError as error:
        click.echo(f"Error [{error.code}]: {error.message}", err=True)
        sys.exit(1)
