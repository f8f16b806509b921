"""The references say everything there is, and nothing that is not."""

import re
from dataclasses import fields
from pathlib import Path

import click
import msgspec
import pytest

from execlave_server import errors
from execlave_server.actions.doctor.findings import Code
from execlave_server.api.routes import ROUTES, UNPREFIXED
from execlave_server.audit.event_logs import STREAMED, EventFields
from execlave_server.cli import commands
from execlave_server.datadog.heartbeat import HeartbeatFields
from execlave_server.datadog.logs import ExeclaveFields, LogMiddle
from execlave_server.datadog.try_connection import Finding
from execlave_server.export.lane_metrics import WorkerMetrics
from execlave_server.metrics import ServerMetrics
from execlave_server.model.permissions import Permission
from execlave_server.settings import Settings
from execlave_server.web.routes import ROUTES as PAGES
from execlave_server.web.routes import TOPICS

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


@pytest.mark.parametrize("route", PAGES, ids=lambda route: f"{route.method} {route.path}")
def test_each_page_is_documented(route):
    """Each page stands in the pages' reference, in a row that names its permission."""
    (row,) = [line for line in read("pages.md").splitlines() if f"`{route.path}`" in line and line.startswith("| `/")]

    assert not isinstance(route.access, Permission) or f"`{route.access}`" in row


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_live_region_is_documented(topic):
    """Each topic stands in the pages' reference."""
    assert f"| `{topic.name}` |" in read("pages.md")


def public_commands() -> list[str]:
    """Every command a person may call."""
    found = []
    for name, command in commands.every().items():
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
    found = commands.every()[group]
    found = found.commands[name] if isinstance(found, click.Group) else found
    found = next(iter(found.commands.values())) if isinstance(found, click.Group) else found

    assert "Example:" in (found.help or "")


@pytest.mark.parametrize("name", [*LogMiddle.__struct_fields__, *ExeclaveFields.__struct_fields__])
def test_each_attribute_is_documented(name):
    """Each attribute of the log stands in the log's reference."""
    assert re.search(rf"`(execlave\.)?{name}`", read("log-format.md"))


@pytest.mark.parametrize("name", HeartbeatFields.__struct_fields__)
def test_each_attribute_of_the_heartbeat_is_documented(name):
    """Each attribute of the heartbeat stands in the log's reference."""
    assert f"`execlave.{name}`" in read("log-format.md")


@pytest.mark.parametrize("name", [field.encode_name for field in msgspec.structs.fields(EventFields)])
def test_each_attribute_of_an_event_is_documented(name):
    """Each attribute of a governance event stands in the log's reference."""
    assert f"`execlave.{name}`" in read("log-format.md")


@pytest.mark.parametrize("kind", sorted(STREAMED))
def test_each_event_is_documented(kind):
    """Each kind that is streamed stands in the log's reference."""
    assert f"`{kind}`" in read("log-format.md")


def exported_metrics() -> set[str]:
    """Every metric of server and worker, by the name Prometheus knows."""
    families = [*ServerMetrics().registry.collect(), *WorkerMetrics().registry.collect()]
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def test_the_metrics_reference_is_the_registry():
    """Each metric stands in a row of the reference with its labels, and no row names one that does not exist."""
    rows = dict(re.findall(r"^\| `(execlave_\w+)` \| ([\w, ]*)\|", read("metrics.md"), re.MULTILINE))
    collectors = {*ServerMetrics().registry._collector_to_names, *WorkerMetrics().registry._collector_to_names}
    labels = {tuple(collector._labelnames) for collector in collectors}

    assert rows.keys() == exported_metrics()
    assert {tuple(re.findall(r"\w+", named)) for named in rows.values()} == labels


def test_each_metric_in_an_alert_exists():
    """The expressions of the reference use metrics that there are."""
    used = set(re.findall(r"\b(execlave_\w+)", read("metrics.md")))

    assert used <= exported_metrics()


@pytest.mark.parametrize("code", list(Code))
def test_each_finding_of_doctor_is_documented(code):
    """Each code stands in doctor's how-to."""
    assert f"`{code}`" in (REFERENCE.parent / "how-to" / "run-doctor.md").read_text()


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
