"""`demo`: everything at work."""

from pathlib import Path

import click
from rich.console import Console

from execlave_server.errors import SettingsError


@click.command
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-data"), show_default=True
)
@click.option("--seconds", type=int, help="End by itself after this long.")
@click.option("--headless", is_flag=True, help="Plain lines, as where the output is no terminal.")
def demo(data_dir: Path, seconds: int | None, *, headless: bool) -> None:
    """Show everything at work: server, worker, sandbox, and a fleet of agents on the official SDK.

    The specification's three monitors fire on the fleet within a minute, each with the link from the alert back to
    the trace's page. Ctrl-C ends all of it.

    \b
    Example:
      execlave-server demo
    """
    try:
        from execlave_server.demo.show import Demo  # noqa: PLC0415 - the SDK is an extra, not needed to serve
    except ImportError as error:
        raise SettingsError(
            "The demo runs on the official SDK, which is not installed: pip install 'execlave-server[demo]'"
        ) from error
    Demo(data_dir, Console(force_terminal=False if headless else None)).run(seconds)
