"""`/api/v2/logs/config/metrics`: metrics made from logs, created, read and deleted."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from execlave_server.sandbox.api_requests import read_as
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import LOG_METRICS_MAX
from execlave_server.sandbox.log_metrics import LogMetric, MetricBody, MetricData, MetricGroup
from execlave_server.sandbox.match_logs import SearchSyntaxError
from execlave_server.sandbox.processors import QueryFilter
from execlave_server.sandbox.refusals import ApiRefusedError
from execlave_server.sandbox.state import STATE, SandboxState


class ComputeChange(Struct):
    """What may change of a compute."""

    include_percentiles: bool | UnsetType = UNSET


class AttributesChange(Struct):
    """What may change of a metric."""

    compute: ComputeChange | UnsetType = UNSET
    filter: QueryFilter | UnsetType = UNSET
    group_by: Annotated[list[MetricGroup], Meta(max_length=10)] | UnsetType = UNSET


class DataChange(Struct):
    """`data` of a PATCH."""

    type: Literal["logs_metrics"]
    attributes: AttributesChange


class MetricChange(Struct):
    """The body of a PATCH."""

    data: DataChange


async def create_metric(request: web.Request) -> web.Response:
    """200 and the metric; it counts logs that arrive from now on."""
    state = request.app[STATE]
    data = (await read_as(request, MetricBody)).data
    if data.id in state.metrics:
        raise ApiRefusedError(409, f"Metric {data.id} already exists")
    if len(state.metrics) >= LOG_METRICS_MAX:
        raise ApiRefusedError(400, f"the sandbox holds {LOG_METRICS_MAX} log metrics: delete one")
    return keep(state, data)


async def list_metrics(request: web.Request) -> web.Response:
    """All of them."""
    return json_answer({"data": [metric.data for metric in request.app[STATE].metrics.values()]})


async def show_metric(request: web.Request) -> web.Response:
    """One of them."""
    return json_answer({"data": find_metric(request).data})


async def change_metric(request: web.Request) -> web.Response:
    """Another filter or other groups; what was counted before is forgotten here."""
    there = find_metric(request).data
    change = (await read_as(request, MetricChange)).data.attributes
    attributes = msgspec.structs.replace(there.attributes)
    if not isinstance(change.filter, UnsetType):
        attributes.filter = change.filter
    if not isinstance(change.group_by, UnsetType):
        attributes.group_by = change.group_by
    if not isinstance(change.compute, UnsetType) and not isinstance(change.compute.include_percentiles, UnsetType):
        percentiles = change.compute.include_percentiles
        attributes.compute = msgspec.structs.replace(attributes.compute, include_percentiles=percentiles)
    return keep(request.app[STATE], msgspec.structs.replace(there, attributes=attributes))


async def delete_metric(request: web.Request) -> web.Response:
    """204, nothing more."""
    state = request.app[STATE]
    del state.metrics[find_metric(request).data.id]
    state.renew_rules()
    return web.Response(status=204)


async def show_points(request: web.Request) -> web.Response:
    """`GET /sandbox/metrics/{id}`: what was counted, minute by minute."""
    state = request.app[STATE]
    await state.index.catch_up(state.clock.now_us())
    return json_answer(find_metric(request).report())


def find_metric(request: web.Request) -> LogMetric:
    """The metric in the path. Raises ApiRefusedError where there is none."""
    metric = request.app[STATE].metrics.get(request.match_info["id"])
    if metric is None:
        raise ApiRefusedError(404, "Not Found")
    return metric


def keep(state: SandboxState, data: MetricData) -> web.Response:
    """Count by it from now on. Raises ApiRefusedError for a filter that is no query."""
    try:
        state.metrics[data.id] = LogMetric(data)
    except SearchSyntaxError as error:
        raise ApiRefusedError(400, f"Invalid filter: {error}") from error
    state.renew_rules()
    return json_answer({"data": data})
