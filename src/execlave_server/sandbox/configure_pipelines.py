"""`/api/v1/logs/config/pipelines` and `/api/v1/logs/config/pipeline-order`."""

from typing import TypeVar

import msgspec
from aiohttp import web

from execlave_server.clock import Clock
from execlave_server.sandbox.api_requests import read_body
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.processors import Pipeline, PipelineBody
from execlave_server.sandbox.refusals import ConfigRefusedError
from execlave_server.sandbox.state import STATE, SandboxState

_Body = TypeVar("_Body")

ID_CHARS = 22  # of a pipeline's id, as recorded


class PipelineOrder(msgspec.Struct):
    """`{"pipeline_ids": [...]}`."""

    pipeline_ids: list[str]


async def create_pipeline(request: web.Request) -> web.Response:
    """200 and the pipeline with its id; it works on logs that arrive from now on."""
    state = request.app[STATE]
    pipeline = await read_pipeline(request, new_id(state.clock))
    state.pipelines.put(pipeline)
    return changed(state, pipeline)


async def list_pipelines(request: web.Request) -> web.Response:
    """All of them, in order."""
    return json_answer(request.app[STATE].pipelines.listed)


async def show_pipeline(request: web.Request) -> web.Response:
    """One of them."""
    return json_answer(request.app[STATE].pipelines.find(request.match_info["id"]))


async def replace_pipeline(request: web.Request) -> web.Response:
    """Another body under the same id and in the same place."""
    state = request.app[STATE]
    there = state.pipelines.find(request.match_info["id"])
    pipeline = await read_pipeline(request, there.id)
    state.pipelines.put(pipeline)
    return changed(state, pipeline)


async def delete_pipeline(request: web.Request) -> web.Response:
    """200 and `{}`."""
    state = request.app[STATE]
    state.pipelines.remove(request.match_info["id"])
    return changed(state, {})


async def show_order(request: web.Request) -> web.Response:
    """The order in which they run."""
    return json_answer(PipelineOrder(request.app[STATE].pipelines.ids))


async def replace_order(request: web.Request) -> web.Response:
    """Another order."""
    state = request.app[STATE]
    order = decode_config(await read_body(request), PipelineOrder)
    state.pipelines.reorder(order.pipeline_ids)
    return changed(state, PipelineOrder(state.pipelines.ids))


def changed(state: SandboxState, answer: object) -> web.Response:
    """The answer to a change, which holds for the logs that come after it."""
    state.renew_rules()
    return json_answer(answer)


async def read_pipeline(request: web.Request, pipeline_id: str) -> Pipeline:
    """The body, under an id."""
    body = decode_config(await read_body(request), PipelineBody)
    return Pipeline(id=pipeline_id, **msgspec.structs.asdict(body))


def decode_config(body: bytes, kind: type[_Body]) -> _Body:
    """JSON as `kind`, refused in the logs configuration API's own envelope."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        note = (
            ": Datadog may know this processor; the sandbox does not run it" if "`$.processors[" in str(error) else ""
        )
        raise ConfigRefusedError(400, "InvalidArgument", f"{error}{note}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigRefusedError(400, "InvalidArgument", f"the body is not JSON: {error}") from error


def new_id(clock: Clock) -> str:
    """22 characters, as recorded."""
    return clock.token().replace("_", "A").replace("-", "B")[:ID_CHARS]
