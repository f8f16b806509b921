"""Searching stored traces: the columns and the logs together find exactly what the matcher finds, on every engine."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clocks import START_US
from execlave_server.actions import search_traces as searching
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.ingest_traces import SentItem, new_trace
from execlave_server.actions.right_of_way import RightOfWay
from execlave_server.actions.search_traces import Search, search_traces
from execlave_server.clock import SystemClock
from execlave_server.datadog.search import translate_query as translating
from execlave_server.datadog.search.match_log import compile_query
from execlave_server.datadog.search.parse_query import parse_query
from execlave_server.datadog.search.searchable_log import searchable_log
from execlave_server.datadog.search.translate_query import Destination
from execlave_server.model.organizations import ApiKey, KeyEnvironment, Role
from execlave_server.model.traces import TraceItem, TraceStatus

LONG = "long-" * 60  # longer than a label
AGENTS = ["billing-bot", "billing-agent", "ops", None]
ENVIRONMENTS = ["production", "staging", "", None, LONG + "a", LONG + "b"]
SPAN_TYPES = ["tool", "llm", None, LONG]
WHERE = Destination("agents-prod", "env:production,team:platform")

WORDS = f"""
    success error timeout policy_blocked limit_exceeded flagged_for_review effect_unconfirmed info debug ok
    billing-bot billing-agent billing* *bot ops production * staging ?taging tool llm "" 12 >5 execlave agents*
    long-* "{LONG}a"
"""
NAMES = """
    @status @execlave.status @agent_id @environment @span_type @prompt_tokens @error_type status source service host
    env team tags trace_id #calc timestamp
"""
VALUES = st.sampled_from([*WORDS.split(), "[0 TO 12]"])
KEYS = st.sampled_from(NAMES.split())
TERMS = st.one_of(
    st.builds("{}:{}".format, KEYS, VALUES),
    KEYS.map("_missing_:{}".format),
    st.sampled_from(["tool", "success", "*:ops", "*", '"ops error"', "@execlave.trace_id:t-1*", "message:*"]),
)
QUERIES = st.recursive(
    TERMS,
    lambda parts: st.one_of(
        parts.map("-({})".format),
        st.lists(parts, min_size=2, max_size=3).map(lambda items: f"({' OR '.join(items)})"),
        st.lists(parts, min_size=2, max_size=3).map(lambda items: f"({' '.join(items)})"),
    ),
    max_leaves=8,
)


def stored(tenant, number: int, **changes):
    """The trace of an item, with columns and log as ingest makes them."""
    values = {
        "trace_id": f"t-{number}",
        "status": list(TraceStatus)[number % 7],
        "agent_id": AGENTS[number % 4],
        "environment": ENVIRONMENTS[number // 3 % 6],
        "span_type": SPAN_TYPES[number // 2 % 4],
        "prompt_tokens": number % 20,
        **changes,
    }
    key = ApiKey("k", tenant.number, tenant.id, "k", KeyEnvironment("prod"), Role.AGENT, "abcd", 0, None, 1)
    item = TraceItem(**values)
    return new_trace(
        CostEstimator(),
        key,
        SentItem(b'{"traceId":"t-%d","status":"success"}' % number, item, f"s-{number}", number),
        None,
        now_us=START_US,
        salt=bytes(16),
    )


async def search_all(store, tenant, search: Search) -> list[str]:
    """The trace ids of all pages."""
    found, before = [], None
    for _ in range(1_000):
        page = await search_traces(
            store, tenant.number, replace(search, before=before), right_of_way=RightOfWay(SystemClock())
        )
        found += [trace.trace_id for trace in page.traces]
        assert (page.next is None) == (page.searched_back_to_us is None)
        if page.next is None:
            return found
        before = page.next
    raise AssertionError("the pages do not end")


class History:
    """The traces of an organization, as the matcher sees them."""

    def __init__(self, traces) -> None:
        self.logs = [
            (
                trace.trace_id,
                searchable_log(trace.log, trace.occurred_at_ms, service=WHERE.service, ddtags=WHERE.ddtags),
            )
            for trace in reversed(traces)
        ]

    def matching(self, query: str) -> list[str]:
        """The trace ids that a search finds, newest first."""
        test = compile_query(parse_query(query))
        return [trace_id for trace_id, log in self.logs if test(log)]


@pytest.fixture
async def history(acme, globex) -> History:
    """Traces of an organization, those of another in between."""
    made = [stored(acme, number) for number in range(120)]
    for start in range(0, 120, 30):
        await acme.ingest(*made[start : start + 30])
        await globex.ingest(*(stored(globex, number) for number in range(start, start + 30)))
    return History(made)


@given(query=QUERIES, limit=st.sampled_from([7, 50, 1_000]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_columns_and_logs_find_what_the_matcher_finds(store, acme, history, query, limit):
    """Whatever the search, its pages are the organization's matching traces, newest first, each once."""
    expected = history.matching(query)

    assert await search_all(store, acme, Search(query=query, limit=limit, destination=WHERE)) == expected


@pytest.mark.parametrize("query", ["", "@status:error", "@prompt_tokens:>15", "@agent_id:nobody"])
async def test_a_page_that_costs_enough_is_short_and_the_next_goes_on(store, acme, history, monkeypatch, query):
    """However little of the index or of the logs a page may read, the pages together find everything."""
    monkeypatch.setattr(searching, "ENTRIES_PER_PAGE_MAX", 9)
    by_entries = await search_all(store, acme, Search(query=query, destination=WHERE))
    monkeypatch.setattr(searching, "ENTRIES_PER_PAGE_MAX", 50_000)
    monkeypatch.setattr(searching, "LOGS_PER_PAGE_MAX", 5)
    by_logs = await search_all(store, acme, Search(query=query, destination=WHERE))

    assert by_entries == by_logs == history.matching(query)


@pytest.mark.parametrize("query", ["@agent_id:billing* -@span_type:tool", "-@environment:production", "@status:error"])
async def test_a_search_with_too_many_labels_goes_by_the_logs(store, acme, history, monkeypatch, query):
    """Where asking each label would take too long, the same is found without them."""
    monkeypatch.setattr(translating, "LABEL_TESTS_MAX", 3)

    assert await search_all(store, acme, Search(query=query, destination=WHERE)) == history.matching(query)


async def test_a_long_search_reads_few_logs_a_page(store, acme, history):
    """A search of hundreds of terms finds what it means, in many short pages."""
    query = " OR ".join(["@prompt_tokens:3", *("*:x" for _ in range(250))])

    page = await search_traces(
        store, acme.number, Search(query=query, destination=WHERE), right_of_way=RightOfWay(SystemClock())
    )

    assert page.next is not None
    assert await search_all(store, acme, Search(query=query, destination=WHERE)) == history.matching(query)


async def test_a_span_of_time_is_exact_though_the_clock_was_set_back(store, acme, clock):
    """What was received from one moment (inclusive) to another (exclusive), though ids go by the order of commits."""
    at_s = [0, 600, 1_200, 300, 900, 3_000, 700]
    for number, seconds in enumerate(at_s):
        clock.time_us = START_US + seconds * 1_000_000
        await acme.ingest(stored(acme, number))
    spans = [(300, 900), (0, 601), (901, 20_000), (20_000, 30_000), (600, 600)]

    for start, end in spans:
        search = Search(from_us=START_US + start * 1_000_000, to_us=START_US + end * 1_000_000, limit=2)
        expected = [f"t-{number}" for number, seconds in enumerate(at_s) if start <= seconds < end]
        assert await search_all(store, acme, search) == expected[::-1]
