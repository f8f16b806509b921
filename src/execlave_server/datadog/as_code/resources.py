"""Every shipped resource as the JSON that Datadog's API takes."""

from enum import StrEnum
from typing import Any

import msgspec

from execlave_server.datadog.as_code.dashboard import DASHBOARD
from execlave_server.datadog.as_code.metrics import METRICS
from execlave_server.datadog.as_code.monitors import SHIPPED
from execlave_server.datadog.as_code.pipeline import PIPELINE
from execlave_server.datadog.as_code.siem import RULES

Body = dict[str, Any]


class Kind(StrEnum):
    """What can be rendered and applied, in the order in which it is set up."""

    PIPELINE = "pipeline"
    METRICS = "metrics"
    MONITORS = "monitors"
    DASHBOARD = "dashboard"
    SIEM = "siem"


def bodies(kind: Kind, notify: str = "") -> list[Body]:
    """The bodies of a kind; `notify` (`@slack-sec`) is added to the messages of monitors, which else tell nobody."""
    match kind:
        case Kind.PIPELINE:
            return [_body(PIPELINE)]
        case Kind.METRICS:
            return [_body(metric) for metric in METRICS]
        case Kind.MONITORS:
            return [_with_notice(_body(each.definition), notify) for each in SHIPPED]
        case Kind.DASHBOARD:
            return [_body(DASHBOARD)]
        case Kind.SIEM:
            return [_body(rule) for rule in RULES]


def _body(resource: msgspec.Struct) -> Body:
    body: Body = msgspec.json.decode(msgspec.json.encode(resource))
    return body


def _with_notice(body: Body, notify: str) -> Body:
    return {**body, "message": f"{body['message']}\n{notify}"} if notify else body
