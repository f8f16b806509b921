import json

from hypothesis import assume, example, given
from hypothesis import strategies as st

from execlave_server.datadog.logs import frame_head, frame_log, log_middle
from execlave_server.datadog.preprocess import preprocess
from execlave_server.datadog.search.match_log import SearchableLog, matches
from execlave_server.datadog.search.parse_query import parse_query
from execlave_server.datadog.search.print_query import print_query
from execlave_server.datadog.search.query import (
    FULL_TEXT,
    MESSAGE,
    RESERVED_NAMES,
    Comparison,
    Everything,
    Exists,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Operator,
    Pattern,
    Phrase,
    Range,
    Term,
    Wildcard,
    all_of,
    any_of,
)
from execlave_server.datadog.search.searchable_log import StoredLogs, searchable
from execlave_server.errors import SearchSyntaxError
from execlave_server.model.traces import SpanFacts, TraceItem, TraceStatus

MARKS = ["AND", "OR", "NOT", "TO", "CIDR(", "a", "1", "&&", "||", "_exists_:", "@a:", *'()[]{}":*?&|\\-!<>=#@,. \n']
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(MARKS), max_size=25).map("".join))

NAMES = st.text(min_size=1, max_size=8).filter(
    lambda name: name not in RESERVED_NAMES | {"message", "_exists_", "_missing_"}
)
FIELDS = st.one_of(
    st.just(MESSAGE),
    st.just(FULL_TEXT),
    st.sampled_from(sorted(RESERVED_NAMES)).map(lambda name: Field(FieldKind.RESERVED, name)),
    st.builds(Field, st.sampled_from([FieldKind.ATTRIBUTE, FieldKind.TAG, FieldKind.CALCULATED]), NAMES),
)
NUMBERS = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False))


def pattern(pieces):
    """Pieces as a word has them: no two texts and no two `*` in a row."""
    kept = []
    for piece in pieces:
        if kept and isinstance(piece, str) and isinstance(kept[-1], str):
            kept[-1] += piece
        elif not (kept and piece is kept[-1] is Wildcard.ANY):
            kept.append(piece)
    return Exists() if kept == [Wildcard.ANY] else Pattern(tuple(kept))


PATTERNS = st.lists(st.one_of(st.text(min_size=1, max_size=6), st.sampled_from(Wildcard)), min_size=1, max_size=5).map(
    pattern
)
TEXT_VALUES = st.one_of(PATTERNS, st.text(max_size=10).map(Phrase))
NUMBER_VALUES = st.one_of(
    st.builds(Comparison, st.sampled_from(Operator), NUMBERS),
    st.builds(Range, st.none() | NUMBERS, st.none() | NUMBERS, st.booleans(), st.booleans()),
)
NETWORKS = st.ip_addresses().map(lambda address: f"{address}/{address.max_prefixlen}")


def is_said_otherwise(term):
    """What exists everywhere is `*`, and only a field's numbers compare."""
    return term.field == FULL_TEXT and term.value == Exists()


TERMS = st.one_of(
    st.builds(Term, FIELDS, TEXT_VALUES).filter(lambda term: not is_said_otherwise(term)),
    st.builds(Term, FIELDS.filter(lambda field: field not in {MESSAGE, FULL_TEXT}), NUMBER_VALUES),
    st.builds(
        InNetworks,
        FIELDS.filter(lambda field: field not in {MESSAGE, FULL_TEXT} and not set(field.name) & set(',()"')),
        st.lists(NETWORKS, min_size=1, max_size=3).map(tuple),
    ),
    st.just(Everything()),
)
QUERIES = st.recursive(
    TERMS,
    lambda parts: st.one_of(
        parts.map(Not),
        st.lists(parts, min_size=2, max_size=4).map(all_of),
        st.lists(parts, min_size=2, max_size=4).map(any_of),
    ),
    max_leaves=12,
)


@given(TEXTS)
@example("CIDR(@a,1.2.3.4/8")
@example("@a:[1 TO 1" + "0" * 400 + "]")
def test_any_text_is_a_search_or_an_error_with_its_place(text):
    """No text breaks the parser: it is a tree, which prints and matches, or an error at a place within the text."""
    refused, query = None, Everything()
    try:
        query = parse_query(text)
    except SearchSyntaxError as error:
        refused = error

    assert refused is None or 0 <= refused.position <= len(text)
    assert parse_query(print_query(query)) == query
    assert matches(query, SearchableLog(message=text)) in {True, False}


@given(QUERIES)
def test_what_is_printed_parses_to_the_same_tree(query):
    """Every tree has a text, and that text means the tree."""
    text = print_query(query)
    assume(len(text) < 10_000)

    assert parse_query(text) == query


SHORT = st.one_of(st.text(min_size=1, max_size=20), st.sampled_from(['{"a":1}', '{"message":"x"}', "{", "error"]))
ITEMS = st.builds(
    TraceItem,
    trace_id=SHORT,
    status=st.sampled_from(TraceStatus),
    agent_id=st.none() | SHORT,
    environment=st.none() | SHORT,
    error_message=st.none() | SHORT,
    span_type=st.none() | SHORT,
    parent_trace_id=st.none() | SHORT,
    tags=st.none() | st.lists(SHORT, max_size=3),
    metadata=st.builds(SpanFacts, span_name=st.none() | SHORT),
)


@given(ITEMS, st.sampled_from(["execlave", "Agents Prod"]), st.sampled_from(["", "env:prod,Team:A B", "service:x,1"]))
def test_a_stored_log_is_read_as_the_whole_preprocessing_would(item, service, ddtags):
    """The short way for our own logs ends where Datadog's rules for any log do."""
    middle = log_middle(item, organization_id="o", span_id="s", delivery_key="k", agent=None, cost=None)
    whole = json.loads(frame_log(frame_head(service, ddtags), 1_765_449_600_000, middle))

    assert StoredLogs(service, ddtags).read(middle, 1_765_449_600_000) == searchable(preprocess(whole, 0))
