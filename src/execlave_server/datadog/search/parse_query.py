"""The text of a search as a tree, in linear time, with an exact error where it is not one."""

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedToken, VisitError

from execlave_server.datadog.search.explain_syntax import explain_end, explain_syntax
from execlave_server.datadog.search.query import (
    FULL_TEXT,
    MESSAGE,
    RESERVED_NAMES,
    And,
    Comparison,
    Everything,
    Exists,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Or,
    Pattern,
    Phrase,
    Query,
    Range,
    Term,
    all_of,
    any_of,
)
from execlave_server.datadog.search.read_values import (
    read_comparison,
    read_networks,
    read_pattern,
    read_range,
    unescape,
)
from execlave_server.errors import SearchSyntaxError

QUERY_CHARS_MAX = 10_000  # far above what anybody writes; bounds what one search costs
DEPTH_MAX = 50  # of parentheses and negations; whatever walks the tree calls itself so often
PATH_PARTS_MAX = 32  # Datadog keeps ten levels of a log
_EXISTENCE = {"_exists_": False, "_missing_": True}  # and whether it is negated
_WILDCARD = re.compile(r"(?:[^\\*?]|\\[\s\S])*+[*?]")


def parse_query(text: str) -> Query:
    """The tree of a search. Raises SearchSyntaxError, whose `position` counts characters from 0."""
    if len(text) > QUERY_CHARS_MAX:
        raise SearchSyntaxError(
            f"the search has {len(text):,} characters and may have {QUERY_CHARS_MAX:,}. Make it shorter, for "
            "instance with a wildcard instead of a list",
            QUERY_CHARS_MAX,
        )
    try:
        node: _Node = _parser().parse(text)  # type: ignore[assignment]  # the transformer makes nodes
    except UnexpectedCharacters as error:
        raise explain_syntax(text, error.pos_in_stream or 0) from error
    except UnexpectedToken as error:
        if error.token.type == "$END":
            raise explain_end(text) from error
        raise explain_syntax(text, error.token.start_pos or 0) from error
    except VisitError as error:
        raise error.orig_exc from error
    return node.query


@cache
def _parser() -> Lark:
    grammar = (resources.files("execlave_server.datadog.search") / "grammar.lark").read_text()
    return Lark(grammar, start="query", parser="lalr", lexer="contextual", transformer=_MakeTree())


class _Given(Term, frozen=True):
    """A value whose key is not bound yet, since a key stands before its whole group."""

    token: Token


class _Node(NamedTuple):
    """A part of the tree, how deep it is nested, and where it starts."""

    query: Query
    depth: int
    position: int


@v_args(inline=True)
class _MakeTree(Transformer[Token, _Node]):
    """Called by the parser from the leaves up."""

    def everything(self) -> _Node:
        return _Node(Everything(), 0, 0)

    def any_of(self, *nodes: _Node) -> _Node:
        return _Node(any_of([node.query for node in nodes]), max(node.depth for node in nodes), nodes[0].position)

    def all_of(self, *nodes: _Node) -> _Node:
        return _Node(all_of([node.query for node in nodes]), max(node.depth for node in nodes), nodes[0].position)

    def none_of(self, node: _Node) -> _Node:
        return _deeper(node, Not(node.query))

    def group(self, node: _Node) -> _Node:
        return _deeper(node, node.query)

    def free_word(self, word: Token) -> _Node:
        pattern = read_pattern(word)
        return _node(Everything() if isinstance(pattern, Exists) else Term(MESSAGE, pattern), word)

    def free_phrase(self, phrase: Token) -> _Node:
        return _node(Term(MESSAGE, Phrase(unescape(phrase[1:-1]))), phrase)

    def word(self, word: Token) -> _Node:
        return _node(_Given(MESSAGE, read_pattern(word), word), word)

    def phrase(self, phrase: Token) -> _Node:
        return _node(_Given(MESSAGE, Phrase(unescape(phrase[1:-1])), phrase), phrase)

    def comparison(self, comparison: Token) -> _Node:
        return _node(_Given(MESSAGE, read_comparison(comparison, _start(comparison)), comparison), comparison)

    def range(self, limits: Token) -> _Node:
        return _node(_Given(MESSAGE, read_range(limits, _start(limits)), limits), limits)

    def keyed(self, key: Token, values: _Node) -> _Node:
        name = key[:-1]
        if name in _EXISTENCE:
            query = _bind_existence(values.query, negated=_EXISTENCE[name])
        else:
            query = _bind(_field(name, _start(key)), values.query)
        return _Node(query, values.depth, _start(key))

    def in_networks(self, call: Token) -> _Node:
        start = _start(call)
        name, networks = read_networks(call, start)
        field = _field(name, start)
        if field.kind in {FieldKind.FULL_TEXT, FieldKind.MESSAGE}:
            raise SearchSyntaxError(
                "CIDR looks into one attribute. Name it, as in CIDR(@network.client.ip,10.0.0.0/8)", start
            )
        return _node(InNetworks(field, networks), call)


def _node(query: Query, token: Token) -> _Node:
    return _Node(query, 0, _start(token))


def _start(token: Token) -> int:
    return token.start_pos or 0


def _deeper(node: _Node, query: Query) -> _Node:
    if node.depth >= DEPTH_MAX:
        raise SearchSyntaxError(
            f"this stands in more than {DEPTH_MAX} parentheses and negations. Leave out those that change nothing",
            node.position,
        )
    return _Node(query, node.depth + 1, node.position)


def _field(raw: str, position: int) -> Field:
    """Where a key says to look."""
    if raw == "*":
        return FULL_TEXT
    if _WILDCARD.match(raw):
        raise SearchSyntaxError(
            "a name cannot have a wildcard. Name the attribute or tag in full, or search everywhere with *:", position
        )
    kind, name = FieldKind.TAG, unescape(raw)
    if raw[0] in "@#":
        kind = FieldKind.ATTRIBUTE if raw[0] == "@" else FieldKind.CALCULATED
        name = unescape(raw[1:])
        if not name:
            raise SearchSyntaxError(
                f"no name stands between {raw[0]} and the colon. Write it, as in @agent_id:x", position
            )
    elif name == "message":
        return MESSAGE
    elif name in RESERVED_NAMES:
        kind = FieldKind.RESERVED
    if kind is FieldKind.ATTRIBUTE and name.count(".") >= PATH_PARTS_MAX:
        raise SearchSyntaxError(
            f"the path has more than {PATH_PARTS_MAX} parts, and Datadog keeps ten levels of a log. Make it shorter",
            position,
        )
    return Field(kind, name)


def _bind(field: Field, values: Query) -> Query:
    """The values of a key, each as a term of its own: `key:(a OR b)` is `key:a OR key:b`."""
    match values:
        case And(items):
            return all_of([_bind(field, item) for item in items])
        case Or(items):
            return any_of([_bind(field, item) for item in items])
        case Not(item):
            return Not(_bind(field, item))
        case _Given():
            return _term(field, values)
        case _:
            raise AssertionError("values hold nothing else")


def _term(field: Field, given: _Given) -> Query:
    if isinstance(given.value, Comparison | Range) and field.kind in {FieldKind.FULL_TEXT, FieldKind.MESSAGE}:
        raise SearchSyntaxError(
            "only an attribute's number can be compared. Name the attribute, as in @duration_ms:>100",
            _start(given.token),
        )
    if field is FULL_TEXT and isinstance(given.value, Exists):
        return Everything()
    return Term(field, given.value)


def _bind_existence(values: Query, *, negated: bool) -> Query:
    """`_exists_:` and `_missing_:`, whose values are names."""
    match values:
        case And(items):
            return all_of([_bind_existence(item, negated=negated) for item in items])
        case Or(items):
            return any_of([_bind_existence(item, negated=negated) for item in items])
        case Not(item):
            return Not(_bind_existence(item, negated=negated))
        case _Given():
            token = values.token
            if not isinstance(values.value, Pattern | Phrase):
                raise SearchSyntaxError(
                    "_exists_ and _missing_ take the name of an attribute or tag, as in _exists_:@agent_id",
                    _start(token),
                )
            name = str(token[1:-1] if isinstance(values.value, Phrase) else token)
            if not name:
                raise SearchSyntaxError(
                    "no name stands in the quotes. Write it, as in _exists_:@agent_id", _start(token)
                )
            exists = Term(_field(name, _start(token)), Exists())
            return Not(exists) if negated else exists
        case _:
            raise AssertionError("values hold nothing else")
