import re
from pathlib import Path

import pytest

from execlave_server.audit.events import DETAILS, Kind
from execlave_server.audit.findings import Code
from execlave_server.audit.records import (
    DecisionContent,
    DecisionRecord,
    EventRecord,
    MatchedPolicy,
    TraceContent,
    TraceRecord,
)

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "evidence-format.md").read_text()


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_is_documented_with_its_details(kind):
    """Each kind of audit entry stands in the reference, with every one of its details on the line."""
    line = next(line for line in PAGE.splitlines() if f"`{kind}`" in line)

    missing = [name for name in DETAILS[kind].__struct_fields__ if not re.search(rf"`{name}(\[\])?`", line)]
    assert missing == []


@pytest.mark.parametrize("code", list(Code))
def test_each_finding_is_documented(code):
    """Each code that a verification may find stands in the reference."""
    assert f"`{code}`" in PAGE


@pytest.mark.parametrize(
    "struct",
    [TraceRecord, TraceContent, DecisionRecord, DecisionContent, MatchedPolicy, EventRecord],
    ids=lambda each: each.__name__,
)
def test_each_key_of_a_record_is_documented(struct):
    """Each key of a record stands in the reference."""
    assert [name for name in struct.__struct_fields__ if f"`{name}`" not in PAGE] == []
