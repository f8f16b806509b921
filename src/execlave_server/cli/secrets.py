"""What is sealed, and the key it is sealed under."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from execlave_server.actions.rotate_secrets import Rotation, RotationStep, rotate_secrets
from execlave_server.actions.services import Services
from execlave_server.app.key_file import key_file
from execlave_server.app.locks import only_rotation
from execlave_server.cli.options import data_dir_option, json_option, print_json, settings_of, with_services


@click.group
def secrets() -> None:
    """The sealed secrets: Datadog API keys, and what API keys are hashed with."""


@secrets.command("rotate")
@data_dir_option
@click.option("--keep-old", is_flag=True, help="Leave the old key in the key file, to open older backups with.")
@json_option
def secrets_rotate(data_dir: Path | None, *, keep_old: bool, as_json: bool) -> None:
    """Wrap every sealed secret under a new key-encryption key, while server and worker run.

    Interrupted at any point, everything still opens; run it again and it finishes. Back up the key file afterwards.

    \b
    Example:
      execlave-server secrets rotate
    """
    settings = settings_of(data_dir)

    with only_rotation(settings) as file, Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("secrets rotate", total=None)

        def report(step: RotationStep, done: int, of: int) -> None:
            bar.update(task, description=step, completed=done, total=of)

        async def rotate(services: Services) -> Rotation:
            return await rotate_secrets(services, file, keep_old=keep_old, report=report)

        rotation = with_services(settings, rotate)
    for name in rotation.unreadable:
        click.echo(f"Warning: {name} opens under no key of the file, and did not before. Enter it anew.", err=True)
    if as_json:
        print_json(
            {
                "keyFile": str(key_file(settings)),
                "primaryKeyId": rotation.primary_key_id,
                "resumed": rotation.resumed,
                "rewrapped": rotation.rewrapped,
                "unreadable": rotation.unreadable,
                "removedKeys": rotation.removed_keys,
            }
        )
        return
    click.echo(
        f"{'Finished an interrupted rotation' if rotation.resumed else 'Rotated'} to key {rotation.primary_key_id}."
    )
    click.echo(f"Secrets wrapped anew: {rotation.rewrapped}. Old keys removed: {rotation.removed_keys}.")
    click.echo(f"Back up {key_file(settings)} now, apart from the data; older copies open only older backups.")
