"""The page about the search language is right: its examples are asked, its limits are those of the code."""

import json
import re
from pathlib import Path

import pytest

from execlave_server.datadog.preprocess import preprocess, remap_status
from execlave_server.datadog.search.match_log import matches
from execlave_server.datadog.search.parse_query import DEPTH_MAX, PATH_PARTS_MAX, QUERY_CHARS_MAX, parse_query
from execlave_server.datadog.search.query import RESERVED_NAMES
from execlave_server.datadog.search.searchable_log import searchable
from execlave_server.errors import SearchSyntaxError
from execlave_server.model.traces import TraceStatus

PAGE = (Path(__file__).parents[2] / "docs/reference/search.md").read_text()
LOG = json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])
EXAMPLES = [
    (query.replace(r"\|", "|"), found)
    for query, found in re.findall(r"^\| `(.+?)` \| .+ \| (yes|no) \|$", PAGE, re.MULTILINE)
]
ERRORS = re.findall(r"^\| `(.+?)` \| (\d+) \|$", PAGE, re.MULTILINE)


def test_the_page_has_examples():
    """What is read from the page is not nothing."""
    assert len(EXAMPLES) == PAGE.count("| yes |") + PAGE.count("| no |") >= 45
    assert len(ERRORS) == 6


@pytest.mark.parametrize(("query", "found"), EXAMPLES, ids=[query for query, _ in EXAMPLES])
def test_each_example_does_what_the_page_says(query: str, found: str):
    """It finds the page's log, or it does not."""
    log = searchable(preprocess(LOG, 0))

    assert matches(parse_query(query), log) == (found == "yes")


@pytest.mark.parametrize(("query", "position"), ERRORS, ids=[query for query, _ in ERRORS])
def test_each_wrong_example_is_refused_where_the_page_says(query: str, position: str):
    """The error's place is the page's."""
    with pytest.raises(SearchSyntaxError) as raised:
        parse_query(query)

    assert raised.value.position == int(position)


def test_the_severities_are_those_of_the_code():
    """Every status of a trace stands in the table, with what Datadog makes of it."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|$", PAGE, re.MULTILINE))

    assert rows == {status.value: remap_status(status.value).value for status in TraceStatus}


def test_the_limits_and_names_are_those_of_the_code():
    """The numbers in the text are the constants, and each reserved name is listed."""
    assert f"at most {QUERY_CHARS_MAX:,} characters, {DEPTH_MAX} levels" in PAGE
    assert f"and {PATH_PARTS_MAX} parts in a path" in PAGE
    listed = re.search(r"a reserved attribute, without `@`: (.+?) \|", PAGE)[1]
    assert set(listed.replace("`", "").split()) == RESERVED_NAMES | {"message"}
