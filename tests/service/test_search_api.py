"""Stored traces are searched over HTTP, in Datadog's language."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from harness import Answer, Platform, start_platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """An installation with five traces."""
    with start_platform(tmp_path_factory.mktemp("search")) as started:
        statuses = ["success", "error", "policy_blocked", "success", "policy_blocked"]
        started.server.agent.ingest(
            *(
                {"traceId": f"t-{number}", "status": status, "agentId": "billing-bot", "spanType": "tool"}
                for number, status in enumerate(statuses)
            )
        )
        yield started


def search(platform: Platform, **asked: str) -> Answer:
    """The answer to a search."""
    return platform.server.admin.get("/api/v1/traces/search?" + urlencode(asked))


def found(answer: Answer) -> list[str]:
    """The trace ids in an answer."""
    return [trace["traceId"] for trace in answer.json["data"]]


def error_of(answer: Answer, code: str) -> dict:
    """The error in an answer that is 400 with this code."""
    error = answer.json["error"]
    assert (answer.status, error["code"]) == (400, code)
    return error


def test_the_newest_come_first_with_their_logs(platform: Platform) -> None:
    """What a query finds, each with its times and its log as it will be sent, but for what sending adds."""
    answer = search(platform, query="source:execlave @status:policy_blocked @span_type:tool billing*")

    assert found(answer) == ["t-4", "t-2"]
    assert answer.json["meta"] == {"next": None, "searchedBackTo": None}
    assert answer.json["data"][0].keys() == {"traceId", "spanId", "timestamp", "receivedAt", "log"}
    assert answer.json["data"][0]["log"]["execlave"]["status"] == "policy_blocked"


def test_printed_queries_find_nothing(platform: Platform) -> None:
    """As at Datadog: status is the severity, and without @ a name is a tag's key."""
    assert found(search(platform, query="source:execlave status:policy_blocked")) == []
    assert found(search(platform, query="source:execlave span_type:tool")) == []


def test_pages_are_turned_by_their_cursor(platform: Platform) -> None:
    """Each page names the next, the last names none."""
    pages, asked = [], {"limit": "2"}
    while True:
        answer = search(platform, **asked)
        pages.append(found(answer))
        if answer.json["meta"]["next"] is None:
            break
        assert answer.json["meta"]["searchedBackTo"] is not None
        asked["cursor"] = answer.json["meta"]["next"]

    assert pages == [["t-4", "t-3"], ["t-2", "t-1"], ["t-0"]]


def test_a_span_of_time(platform: Platform) -> None:
    """ISO 8601 or epoch milliseconds, by the time of receiving."""
    received = search(platform).json["data"][0]["receivedAt"]

    assert len(found(search(platform, **{"from": "2020-01-01T00:00:00+00:00"}))) == 5
    assert len(found(search(platform, **{"from": "2020-01-01", "to": "2100-01-01"}))) == 5
    assert found(search(platform, to=received[:4] + "-01-01T00:00:00Z", query="*")) == []
    assert found(search(platform, to="1577836800000")) == []


def test_what_cannot_be_read_is_refused_with_its_place(platform: Platform) -> None:
    """The answer carries the position and a sentence."""
    answer = search(platform, query="@status:(error OR timeout")

    error = error_of(answer, "SEARCH_SYNTAX")
    assert error["fields"]["position"] == "8"
    assert "never closed" in error["message"]


@pytest.mark.parametrize("asked", [{"limit": "1001"}, {"cursor": "x"}, {"from": "yesterday"}, {"to": "9" * 20}])
def test_a_bad_parameter_is_named(platform: Platform, asked: dict[str, str]) -> None:
    """A page, a cursor or a time that is none."""
    error = error_of(search(platform, **asked), "VALIDATION_ERROR")

    assert error["fields"].keys() == asked.keys()
