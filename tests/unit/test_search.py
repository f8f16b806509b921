"""Datadog's search language, rule by rule, and what is said of a text that is no search."""

import time

import pytest
from search_cases import TERM_CASES, Case
from search_errors import ERRORS
from search_value_cases import VALUE_CASES

from execlave_server.datadog.search.match_log import ATTRIBUTES_PER_LOG, SearchableLog, matches, weigh_query
from execlave_server.datadog.search.parse_query import parse_query
from execlave_server.datadog.search.print_query import print_query
from execlave_server.errors import SearchSyntaxError

CASES = [*TERM_CASES, *VALUE_CASES]
PLACES = {*SearchableLog.__struct_fields__}
SECONDS_MAX = 2.0  # of CPU, for what takes 0.04 s here: a hundred times more would be quadratic


def log_of(said: dict) -> SearchableLog:
    """A log from its short form."""
    places = {name: value for name, value in said.items() if name in PLACES}
    others = {name: value for name, value in said.items() if name not in PLACES}
    return SearchableLog(**{"attributes": others, **places})


def test_there_are_enough_cases():
    """Each rule is shown once, by a search of its own, and there are at least 150."""
    assert len(CASES) == len({case.rule for case in CASES}) >= 150
    assert all(case.found or case.not_found for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_each_rule_holds(case: Case):
    """The search finds the logs that the rule says, no others, and says the same once it is printed."""
    query = parse_query(case.query)

    assert [log for log in case.found if not matches(query, log_of(log))] == []
    assert [log for log in case.not_found if matches(query, log_of(log))] == []
    assert parse_query(print_query(query)) == query


@pytest.mark.parametrize(("query", "position", "said"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_an_error_says_what_and_where(query: str, position: int, said: str):
    """The error has the place, counted from 0, and a sentence with what is wrong and what to write instead."""
    with pytest.raises(SearchSyntaxError) as raised:
        parse_query(query)

    error = raised.value
    assert (error.position, error.code, error.status) == (position, "SEARCH_SYNTAX", 400)
    assert said in error.message
    assert f"at character {position + 1}," in error.message
    assert error.fields["position"] == str(position)


LONGEST = [
    "a " * 5_000,
    "a OR " * 1_999 + "a",
    "(" * 10_000,
    "()" * 5_000,
    "-" * 10_000,
    '"' * 9_999,
    "\\" * 9_999,
    "a:" * 5_000,
    "[" * 10_000,
    "&" * 10_000,
    "a&" * 5_000,
    "CIDR(" * 2_000,
    "@a:(" + "b OR " * 1_990 + "c)",
    "@a:[" + "1 " * 4_990,
    "*?" * 5_000,
    "@" + "a" * 9_990 + ":x",
    "NOT " * 2_500,
]


@pytest.mark.parametrize("text", LONGEST, ids=lambda text: text[:8])
def test_the_longest_searches_are_read_quickly(text: str):
    """Nothing that fits into the limit takes quadratic time or ends the interpreter's stack."""
    started = time.process_time()
    try:
        parse_query(text)
    except SearchSyntaxError as error:
        refused = error
    else:
        refused = None

    assert time.process_time() - started < SECONDS_MAX
    assert refused is None or 0 <= refused.position <= len(text)


def test_wildcards_take_linear_time():
    """A pattern that makes a backtracking matcher try for ages is answered in time by its length and the text's."""
    query = parse_query("@a:" + "*a" * 300 + "b")
    log = SearchableLog(attributes={"a": "a" * 20_000})
    started = time.process_time()

    assert not matches(query, log)
    assert time.process_time() - started < SECONDS_MAX


def test_a_search_weighs_what_it_costs():
    """A term is one look, a search everywhere many, a pattern as many as it has pieces."""
    assert weigh_query(parse_query("")) == 1
    assert weigh_query(parse_query("a -@b:c OR d*")) == 4
    assert weigh_query(parse_query("@a:x*y*z")) == 5
    assert weigh_query(parse_query("*:a")) == ATTRIBUTES_PER_LOG


def test_half_a_surrogate_pair_is_matched_without_a_fault():
    """Texts that have no UTF-8 are searched as if that character were a question mark."""
    log = SearchableLog(message="a \ud800 b", attributes={"a": "x\ud800y"})

    assert matches(parse_query("@a:x*y"), log)
    assert matches(parse_query("@a:*x?y"), log)
    assert not matches(parse_query("@a:\ud800*z"), log)
