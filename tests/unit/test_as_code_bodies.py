"""What is rendered for Datadog: the official client understands every field, and Terraform says the same."""

import json
import re

import hcl2
import pytest
from datadog_api_client.configuration import Configuration
from datadog_api_client.model_utils import (
    ModelComposed,
    ModelNormal,
    ModelSimple,
    OpenApiModel,
    validate_and_convert_types,
)
from datadog_api_client.v1.model.dashboard import Dashboard
from datadog_api_client.v1.model.logs_pipeline import LogsPipeline
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v2.model.logs_metric_create_request import LogsMetricCreateRequest
from datadog_api_client.v2.model.security_monitoring_standard_rule_create_payload import (
    SecurityMonitoringStandardRuleCreatePayload,
)

from execlave_server.datadog.as_code.monitors import SHIPPED
from execlave_server.datadog.as_code.resources import Kind, bodies
from execlave_server.datadog.as_code.terraform import render_terraform
from execlave_server.datadog.monitors.monitor_definition import require_valid
from execlave_server.datadog.monitors.parse_monitor_query import parse_monitor_query

MODELS = {
    Kind.PIPELINE: LogsPipeline,
    Kind.METRICS: LogsMetricCreateRequest,
    Kind.MONITORS: Monitor,
    Kind.DASHBOARD: Dashboard,
    Kind.SIEM: SecurityMonitoringStandardRuleCreatePayload,
}
BODIES = [(kind, body) for kind in Kind for body in bodies(kind, "@slack-sec")]


def unparsed(value, path: str = "") -> list[str]:
    """Every place where the client kept a field it does not know, or a value it could not take."""
    if isinstance(value, list | tuple):
        return [found for place, each in enumerate(value) for found in unparsed(each, f"{path}[{place}]")]
    if isinstance(value, dict):
        return [found for name, each in value.items() for found in unparsed(each, f"{path}.{name}")]
    if isinstance(value, ModelComposed):
        return ([path] if value._unparsed else []) + unparsed(value.get_oneof_instance(), path)
    if not isinstance(value, OpenApiModel):
        return []
    found = [path] if value._unparsed else []
    if isinstance(value, ModelNormal):
        found += [f"{path}.{name} is unknown" for name in value._data_store if name not in value.openapi_types]
        for name, each in value._data_store.items():
            found += unparsed(each, f"{path}.{name}")
    return found


def parsed(model, body):
    """A body as the client reads it off the wire, strictly."""
    return validate_and_convert_types(body, (model,), ["body"], True, True, Configuration())


@pytest.mark.parametrize(("kind", "body"), BODIES, ids=lambda each: each if isinstance(each, str) else "")
def test_the_official_client_understands_every_field(kind, body):
    """Each body becomes a model of the client with nothing unparsed and nothing unknown, and goes back unchanged."""
    model = parsed(MODELS[kind], body)

    assert unparsed(model) == []
    assert same(model.to_dict(), body)


def same(one, other) -> bool:
    """Equal, whatever the type of numbers and the client's names of fields."""
    return json.dumps(plain(one), sort_keys=True) == json.dumps(plain(other), sort_keys=True)


def plain(value):
    """A value with the names of its fields in snake case."""
    if isinstance(value, dict):
        return {
            re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), str(name)): plain(each)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, ModelSimple):
        return value.value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def test_the_check_sees_what_the_client_does_not_know():
    """The recursive check would notice an unknown field, deep down, and a value outside its enumeration."""
    body = bodies(Kind.MONITORS)[0]
    unknown = {**body, "options": {**body["options"], "no_such_option": 1}}
    wrong = {**body, "options": {**body["options"], "on_missing_data": "explode"}}

    assert unparsed(parsed(Monitor, unknown))
    assert unparsed(parsed(Monitor, wrong))


def strings(value) -> list[str]:
    """Every string in a body, or in what hcl2 reads, unquoted."""
    if isinstance(value, dict):
        return [found for each in value.values() for found in strings(each)]
    if isinstance(value, list | tuple):
        return [found for each in value for found in strings(each)]
    return [value] if isinstance(value, str) else []


def unquoted(text: str) -> str:
    """A string literal of HCL as the text it stands for."""
    return json.loads(text).replace("$${", "${").replace("%%{", "%{") if text.startswith('"') else text


@pytest.mark.parametrize("kind", list(Kind))
def test_terraform_says_the_same(kind):
    """The rendered file parses as HCL, holds one resource a body, and carries every text of every body."""
    text = render_terraform(kind, "@slack-sec")
    resources = [
        (type_, name) for each in hcl2.loads(text)["resource"] for type_, named in each.items() for name in named
    ]
    given = {unquoted(each) for each in strings(hcl2.loads(text))}
    if kind is Kind.DASHBOARD:
        (dashboard,) = (json.loads(each) for each in given if each.startswith("{"))
        assert dashboard == bodies(kind)[0]
        return

    assert len(set(resources)) == len(bodies(kind))
    left_out = {
        "logs_metrics",
        *(processor["type"] for body in bodies(Kind.PIPELINE) for processor in body["processors"]),
    }
    assert {each for body in bodies(kind, "@slack-sec") for each in strings(body)} - given <= left_out


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda each: each.key)
def test_each_monitor_is_one_that_datadog_takes(shipped):
    """Its query parses, its thresholds agree with it, its tags name it, and it says why it is there."""
    require_valid(shipped.definition, parse_monitor_query(shipped.definition.query))

    assert f"execlave_monitor:{shipped.key}" in shipped.definition.tags
    assert shipped.definition.priority
    assert shipped.why.endswith(".")


def test_keys_and_names_are_unique():
    """Keys find a monitor again; names tell monitors apart."""
    assert len({each.key for each in SHIPPED}) == len({each.definition.name for each in SHIPPED}) == len(SHIPPED)


def test_templates_are_escaped_in_terraform():
    """A text with `${` or `%{` stays a text."""
    text = render_terraform(Kind.MONITORS, "pay ${amount} %{if}")

    assert "$${amount} %%{if}" in text
    assert any("pay ${amount} %{if}" in unquoted(each) for each in strings(hcl2.loads(text)))
