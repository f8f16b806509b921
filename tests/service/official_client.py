"""Datadog's own Python client against a sandbox, and a look for anything it could not read."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.model_utils import OpenApiModel, UnparsedObject

APPLICATION_KEY = "fedcba9876543210fedcba9876543210fedcba98"


def configure(port: int, key: str, application_key: str = APPLICATION_KEY) -> Configuration:
    """The official client's configuration for a server of our own."""
    configuration = Configuration(
        server_index=1,
        server_variables={"name": f"127.0.0.1:{port}", "protocol": "http"},
        api_key={"apiKeyAuth": key, "appKeyAuth": application_key},
    )
    configuration.unstable_operations["validate"] = True
    return configuration


async def call(port: int, key: str, act: Callable[[ApiClient], Any]) -> Any:
    """What `act` gives back, in a thread, since the client blocks; nothing in it may be unparsed."""

    def run() -> Any:
        with ApiClient(configure(port, key)) as api:
            return act(api)

    answer = await asyncio.to_thread(run)
    assert find_unparsed(answer) == []
    return answer


def read_as(kind: Any, body: Any) -> Any:
    """A request of the client's own kind from JSON; nothing of it may be unparsed."""
    request = deserialize(kind, body)
    assert find_unparsed(request) == []
    return request


def deserialize(kind: Any, body: Any) -> Any:
    """JSON as the client reads it."""
    with ApiClient(Configuration()) as api:
        return api.deserialize(json.dumps(body), (kind,), check_type=True)


def find_unparsed(value: Any, path: str = "$") -> list[str]:
    """The places in an answer that the client could not read as what its schema says."""
    if isinstance(value, UnparsedObject):
        return [path]
    if isinstance(value, OpenApiModel):
        inner = getattr(value, "_data_store", None)
        found = [f"{path} (_unparsed)"] if getattr(value, "_unparsed", False) else []
        composed = getattr(value, "_composed_instances", None) or []
        found += [place for each in composed for place in find_unparsed(each, path)]
        return found + (find_unparsed(inner, path) if inner else [])
    if isinstance(value, dict):
        return [place for name, each in value.items() for place in find_unparsed(each, f"{path}.{name}")]
    if isinstance(value, list | tuple):
        return [place for number, each in enumerate(value) for place in find_unparsed(each, f"{path}[{number}]")]
    return []
