"""Reads a CEL expression token by token, so that what is costly or unknown is refused before it is ever run."""

import re
from typing import NamedTuple

NAMES = frozenset({
    "input", "output", "agentId", "agentName", "environment", "tools", "metadata", "cost", "orgId", "now", "phase",
})  # fmt: skip
LARGE_NAMES = frozenset({"input", "output", "metadata", "tools"})  # as long as the caller makes them
FUNCTIONS = frozenset({
    "size", "contains", "startsWith", "endsWith", "matches", "has", "int", "uint", "double", "string", "timestamp",
    "duration", "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours",
    "getMinutes", "getSeconds", "getMilliseconds",
})  # fmt: skip
COMPREHENSIONS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
JOINS_MAX = 16  # each `+` may copy the whole input
# The native `matches` compiles its pattern at each call, for up to 60 ms; ours goes to a linear engine and remembers.
OWN_MATCHES = "matchesPattern"

_KEYWORDS = frozenset({"true", "false", "null", "in"})
_TOKENS = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>
        [bB]?[rR][bB]?(?:\"{3}(?s:.*?)\"{3}|'{3}(?s:.*?)'{3}|"[^"\n]*"|'[^'\n]*')
        |[bB]?(?:\"{3}(?s:(?:\\.|[^\\])*?)\"{3}|'{3}(?s:(?:\\.|[^\\])*?)'{3})
        |[bB]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0x[0-9a-fA-F]+[uU]?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[uU]?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<operator>&&|\|\||[=!<>]=|[-+*/%<>!?:])
    |(?P<mark>[.,()\[\]{}])""",
    re.VERBOSE,
)


class Scan(NamedTuple):
    """What an expression is made of.

    `steps` counts operators and calls; `wide_steps` those that a comprehension repeats over something large;
    `mentions` how often something large is named. `source` is the expression with our own `matches`.
    """

    names: frozenset[str]
    variables: frozenset[str]
    steps: int
    wide_steps: int
    mentions: int
    source: str


class RefusedExpressionError(Exception):
    """The expression may not be saved; the text says why."""


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def scan_expression(expression: str) -> Scan:
    """Raises RefusedExpressionError for unknown names or functions, nested comprehensions and what else is refused."""
    return _Scanner(_tokens(expression)).scan(expression)


def _tokens(expression: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(expression):
        found = _TOKENS.match(expression, at)
        if found is None:
            raise RefusedExpressionError(f"has something that is not CEL at character {at + 1}")
        if found.lastgroup != "space":
            tokens.append(_Token(str(found.lastgroup), found[0], at))
        at = found.end()
    return tokens


class _Scanner:
    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.names: set[str] = set()
        self.variables: set[str] = set()
        self.open: list[str | None] = []  # per open bracket, the variable of the comprehension it belongs to
        self.steps = self.inner_steps = self.joins = 0
        self.is_wide = False
        self.wide_steps = self.mentions = 0
        self.renamed: list[int] = []

    def scan(self, expression: str) -> Scan:
        for place, token in enumerate(self.tokens):
            match token.kind:
                case "name":
                    self._name(place, token)
                case "operator":
                    self._step()
                    if token.text == "+":
                        self._join()
                case "mark":
                    self._mark(place, token.text)
                case _:
                    pass
        source = expression
        for start in reversed(self.renamed):
            source = source[:start] + OWN_MATCHES + source[start + len("matches") :]
        return Scan(
            frozenset(self.names), frozenset(self.variables), self.steps, self.wide_steps, self.mentions, source
        )

    def _text(self, place: int) -> str:
        return self.tokens[place].text if 0 <= place < len(self.tokens) else ""

    @property
    def _inside(self) -> str | None:
        return next((variable for variable in self.open if variable is not None), None)

    def _name(self, place: int, token: _Token) -> None:
        name, is_member = token.text, self._text(place - 1) == "."
        if self._text(place + 1) == "(":
            self._call(name, token.start, is_member=is_member)
        elif not is_member and name not in _KEYWORDS and name != self._inside:
            if name not in NAMES:
                raise RefusedExpressionError(f"uses {name}, which is not known; known are {', '.join(sorted(NAMES))}")
            self.names.add(name)
            self.mentions += name in LARGE_NAMES
            self.is_wide |= self._inside is not None and name in LARGE_NAMES

    def _call(self, name: str, start: int, *, is_member: bool) -> None:
        self._step()
        if is_member and name in COMPREHENSIONS:
            if self._inside is not None:
                raise RefusedExpressionError(f"has {name} inside another comprehension; they may not be nested")
        elif name not in FUNCTIONS:
            raise RefusedExpressionError(
                f"calls {name}, which is not known; known are {', '.join(sorted(FUNCTIONS | COMPREHENSIONS))}"
            )
        elif name == "matches":
            self.renamed.append(start)

    def _mark(self, place: int, mark: str) -> None:
        if mark in "([{":
            if mark == "[":
                self._step()
            is_comprehension = mark == "(" and self._text(place - 1) in COMPREHENSIONS and self._text(place - 2) == "."
            self.open.append(self._enter(self._text(place + 1)) if is_comprehension else None)
        elif mark in ")]}" and self.open and self.open.pop() is not None:
            self._leave()

    def _enter(self, variable: str) -> str:
        if variable in NAMES:
            raise RefusedExpressionError(f"names a variable {variable}, which hides what is known by that name")
        self.variables.add(variable)
        self.inner_steps, self.is_wide = 0, False
        return variable

    def _leave(self) -> None:
        if self.is_wide:
            self.wide_steps += self.inner_steps + 1

    def _step(self) -> None:
        self.steps += 1
        self.inner_steps += 1

    def _join(self) -> None:
        self.joins += 1
        if self.joins > JOINS_MAX:
            raise RefusedExpressionError(f"has more than {JOINS_MAX} times +")
        if self._inside is not None:
            raise RefusedExpressionError("has + inside a comprehension, where it could copy the input once an item")
