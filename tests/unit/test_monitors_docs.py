"""The pages about Datadog say what is shipped, and nothing else."""

import re
from pathlib import Path

import pytest

from execlave_server.datadog.as_code.describe_monitors import describe_monitors
from execlave_server.datadog.as_code.resources import Kind
from execlave_server.datadog.as_code.spec_queries import OF_THE_SPECIFICATION
from execlave_server.datadog.search.parse_query import parse_query

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_what_is_shipped():
    """Made anew, the page is the same. If not: python -m execlave_server.datadog.as_code.describe_monitors."""
    assert (DOCS / "reference" / "monitors.md").read_text() == describe_monitors()


@pytest.mark.parametrize("kind", list(Kind))
def test_the_set_up_names_each_kind(kind):
    """Each kind that can be applied has its step."""
    assert f"datadog apply {kind}" in (DOCS / "how-to" / "datadog-setup.md").read_text()


@pytest.mark.parametrize("query", OF_THE_SPECIFICATION, ids=lambda query: query.name)
def test_the_explanation_has_both_forms(query):
    """Why a search is printed one way and asked another, with both on the page."""
    text = (DOCS / "explanation" / "why-at-status.md").read_text()

    assert query.printed in text
    assert query.corrected in text


@pytest.mark.parametrize("page", ["how-to/datadog-setup.md", "explanation/why-at-status.md"])
def test_every_search_on_a_page_can_be_read(page):
    """Whatever begins with `source:` is a search that parses."""
    searches = re.findall(r"`(source:[^`]+)`", (DOCS / page).read_text())

    assert searches
    for search in searches:
        parse_query(search)
