"""The same resources for Terraform, with the provider DataDog/datadog.

Source: the provider's documentation of each resource. A dashboard goes as JSON, as the provider recommends.
"""

import re

import msgspec

from execlave_server.datadog.as_code.hcl_text import Block, Value, hcl_text
from execlave_server.datadog.as_code.monitors import KEY_TAG
from execlave_server.datadog.as_code.resources import Body, Kind, bodies

_OF_MONITOR = (
    "on_missing_data", "notify_no_data", "no_data_timeframe", "group_retention_duration", "new_group_delay",
    "evaluation_delay", "renotify_interval", "enable_logs_sample", "include_tags", "notify_audit",
)  # fmt: skip
_HEADER = "# Made by `execlave-server datadog render {kind} --format terraform`. Provider: DataDog/datadog.\n"


def render_terraform(kind: Kind, notify: str = "") -> str:
    """The resources of a kind as one file. It needs a provider block of your own, with your keys and site."""
    make = {
        Kind.PIPELINE: _pipeline,
        Kind.METRICS: _metric,
        Kind.MONITORS: _monitor,
        Kind.DASHBOARD: _dashboard,
        Kind.SIEM: _rule,
    }[kind]
    return _HEADER.format(kind=kind) + "\n" + hcl_text([make(body) for body in bodies(kind, notify)])


def _resource(type_: str, name: str, attributes: dict[str, Value | None], blocks: list[Block]) -> Block:
    label = "execlave_" + re.sub(r"[^a-z0-9]+", "_", name.lower().removeprefix("execlave")).strip("_")
    return Block("resource", (type_, label.rstrip("_")), attributes, blocks)


def _monitor(body: Body) -> Block:
    options = body["options"]
    key = next(tag.partition(":")[2] for tag in body["tags"] if tag.startswith(KEY_TAG + ":"))
    attributes = {name: body[name] for name in ("name", "type", "query", "message", "priority", "tags")}
    attributes |= {name: options.get(name) for name in _OF_MONITOR}
    return _resource("datadog_monitor", key, attributes, [Block("monitor_thresholds", (), options["thresholds"])])


def _pipeline(body: Body) -> Block:
    attributes: dict[str, Value | None] = {
        "name": body["name"],
        "is_enabled": body["is_enabled"],
        "tags": body["tags"],
    }
    processors = [Block("processor", (), {}, [_processor(each)]) for each in body["processors"]]
    return _resource("datadog_logs_custom_pipeline", "pipeline", attributes, [_filter(body["filter"]), *processors])


def _processor(body: Body) -> Block:
    attributes = {name: value for name, value in body.items() if name not in {"type", "categories"}}
    categories = [
        Block("category", (), {"name": each["name"]}, [_filter(each["filter"])]) for each in body.get("categories", [])
    ]
    return Block(body["type"].replace("-", "_"), (), attributes, categories)


def _filter(body: Body) -> Block:
    return Block("filter", (), {"query": body["query"]})


def _metric(body: Body) -> Block:
    metric, attributes = body["data"], body["data"]["attributes"]
    blocks = [
        Block("compute", (), attributes["compute"]),
        _filter(attributes["filter"]),
        *(Block("group_by", (), each) for each in attributes["group_by"]),
    ]
    return _resource("datadog_logs_metric", metric["id"], {"name": metric["id"]}, blocks)


def _dashboard(body: Body) -> Block:
    return _resource("datadog_dashboard_json", "agents", {"dashboard": msgspec.json.encode(body).decode()}, [])


def _rule(body: Body) -> Block:
    options = body["options"]
    attributes: dict[str, Value | None] = {
        "name": body["name"],
        "message": body["message"],
        "enabled": body["isEnabled"],
        "type": body["type"],
        "tags": body["tags"],
    }
    queries = [
        Block("query", (), {
            "name": each["name"],
            "query": each["query"],
            "aggregation": each["aggregation"],
            "group_by_fields": each["groupByFields"],
            "metrics": each.get("metrics"),
        })
        for each in body["queries"]
    ]  # fmt: skip
    cases = [Block("case", (), each) for each in body["cases"]]
    settings: dict[str, Value | None] = {
        "detection_method": options["detectionMethod"],
        "evaluation_window": options["evaluationWindow"],
        "keep_alive": options["keepAlive"],
        "max_signal_duration": options["maxSignalDuration"],
    }
    news = options.get("newValueOptions")
    of_news = [Block("new_value_options", (), {_snake(name): value for name, value in news.items()})] if news else []
    return _resource(
        "datadog_security_monitoring_rule",
        body["name"],
        attributes,
        [*queries, *cases, Block("options", (), settings, of_news)],
    )


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)
