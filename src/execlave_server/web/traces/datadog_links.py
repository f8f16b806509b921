"""The link that opens a trace in Datadog, on the site its logs went to."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from execlave_server.actions.services import Services
from execlave_server.datadog.sites import endpoints
from execlave_server.errors import ValidationFailedError
from execlave_server.model.destinations import Destination

AROUND_MS = 3_600_000  # logs are searched from so long before the trace to so long behind it
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")  # a value that Datadog's search takes without quotes


class DatadogLink(NamedTuple):
    """Where a destination's logs of a trace are."""

    name: str
    url: str


def datadog_links(
    services: Services, destinations: Sequence[Destination], trace_id: str, begin_ms: int, end_ms: int
) -> list[DatadogLink]:
    """A link for each destination whose site has pages."""
    links = []
    settings = services.settings
    query = urlencode({
        "query": f"source:execlave @execlave.trace_id:{search_value(trace_id)}",
        "from_ts": begin_ms - AROUND_MS,
        "to_ts": end_ms + AROUND_MS,
        "live": "false",
    })  # fmt: skip
    for destination in destinations:
        try:
            app_url = endpoints(
                destination.site,
                sandbox_url=settings.datadog_sandbox_url or None,
                intake_urls=settings.datadog_intake_urls,
                api_urls=settings.datadog_api_urls,
            ).app_url
        except ValidationFailedError:
            continue  # the sandbox is not configured any more
        links.append(DatadogLink(destination.name, f"{app_url}/logs?{query}"))
    return links


def search_value(text: str) -> str:
    """A value as Datadog's log search takes it."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
