"""The search language over prepared logs."""

from collections.abc import Callable
from typing import TypeAlias

from execlave_server.datadog.search.match_log import SearchableLog, compile_query
from execlave_server.datadog.search.parse_query import parse_query
from execlave_server.errors import SearchSyntaxError
from execlave_server.sandbox.prepared_log import PreparedLog

Matches: TypeAlias = Callable[[PreparedLog], bool]


def compile_matcher(query: str) -> Matches:
    """Whether a log matches `query`. Raises SearchSyntaxError, with the position, for what is no query."""
    predicate = compile_query(parse_query(query))
    return lambda log: predicate(searchable(log))


def searchable(log: PreparedLog) -> SearchableLog:
    """The log as the search language sees it."""
    return SearchableLog(
        message=log.message,
        status=log.status,
        host=log.host,
        service=log.service,
        source=log.source,
        trace_id=log.trace_id,
        timestamp_ms=log.timestamp_ms,
        tags=log.tags,
        attributes=log.attributes,
    )


__all__ = ["Matches", "SearchSyntaxError", "compile_matcher", "searchable"]
