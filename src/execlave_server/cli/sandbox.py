"""`sandbox`: a local Datadog."""

import asyncio
import os
import signal

import click

from execlave_server.clock import SystemClock
from execlave_server.errors import SettingsError
from execlave_server.sandbox.serve import run_sandbox

SANDBOX_PORT = 8126


@click.command
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=SANDBOX_PORT, show_default=True, help="TCP port; 0 takes a free one.")
@click.option("--api-key", "keys", multiple=True, help="A valid API key; others may see it in the process list.")
def sandbox(host: str, port: int, keys: tuple[str, ...]) -> None:
    """Run a local stand-in for Datadog: log intake, search, pipelines, monitors, and pages to look at them.

    Its valid API keys come from EXECLAVE_SANDBOX_API_KEYS, comma-separated, its application keys from
    EXECLAVE_SANDBOX_APPLICATION_KEYS; without any it takes every application key.

    \b
    Example:
      EXECLAVE_SANDBOX_API_KEYS=local-key-for-tests execlave-server sandbox --port 8126
    """
    valid = _keys_in("EXECLAVE_SANDBOX_API_KEYS")
    application_keys = _keys_in("EXECLAVE_SANDBOX_APPLICATION_KEYS")
    if keys:
        click.echo("Warning: --api-key shows in the process list; EXECLAVE_SANDBOX_API_KEYS does not.", err=True)
    if not (valid or keys):
        raise SettingsError("The sandbox needs at least one valid API key: set EXECLAVE_SANDBOX_API_KEYS.")

    def ready(bound_port: int) -> None:
        click.echo(f"Sandbox on http://{host}:{bound_port} (Ctrl-C ends it)", err=True)

    async def run() -> None:
        sandbox = run_sandbox(host, port, [*valid, *keys], SystemClock(), ready, application_keys=application_keys)
        task = asyncio.ensure_future(sandbox)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return
        except OSError as error:
            raise SettingsError(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another --port.") from error

    asyncio.run(run())


def _keys_in(variable: str) -> list[str]:
    """The keys in an environment variable, comma-separated."""
    return [key.strip() for key in os.environ.get(variable, "").split(",") if key.strip()]
