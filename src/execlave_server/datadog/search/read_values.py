"""What a term's value says: words with wildcards, numbers, ranges, networks; each error with its position."""

import math
import re
from ipaddress import ip_network

from execlave_server.datadog.search.query import Comparison, Exists, Number, Operator, Pattern, Range, Wildcard
from execlave_server.errors import SearchSyntaxError

NUMBER_CHARS_MAX = 100  # a float has 17 digits
SHOWN_CHARS_MAX = 60  # of a value, in an error

_ESCAPE = re.compile(r"\\([\s\S])")
_PIECE = re.compile(r"((?:[^\\*?]|\\[\s\S])++)|\*++|\?")
_NUMBER = re.compile(r"[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d++", re.ASCII)
_OPERATOR = re.compile(r"[<>]=?")
_CALL = re.compile(r"CIDR\(\s*+((?:[^\s\\,]|\\[\s\S])*+)\s*+([\s\S]*)")
_NETWORK = re.compile(r"[^\s,]++")


def unescape(text: str) -> str:
    """A backslash makes what follows it plain."""
    return _ESCAPE.sub(r"\1", text)


def read_pattern(text: str) -> Pattern | Exists:
    """A word: its literal texts and wildcards; `*` alone asks only for existence."""
    pieces: list[str | Wildcard] = [
        unescape(piece[1]) if piece[1] is not None else Wildcard(piece[0][0]) for piece in _PIECE.finditer(text)
    ]
    return Exists() if pieces == [Wildcard.ANY] else Pattern(tuple(pieces))


def read_number(text: str) -> Number | None:
    """A finite decimal number, or None."""
    if len(text) > NUMBER_CHARS_MAX or not _NUMBER.fullmatch(text):
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def read_comparison(text: str, position: int) -> Comparison:
    """`>=100`. Raises SearchSyntaxError where no number follows."""
    operator = _OPERATOR.match(text)
    assert operator is not None
    given = unescape(text[operator.end() :])
    number = read_number(given)
    if number is None:
        found = f"not {_shown(given)}" if given else "and none stands there"
        raise SearchSyntaxError(
            f"{operator[0]} compares with a number, {found}. Write a number right behind it, as in "
            f"@duration_ms:{operator[0]}100",
            position + operator.end(),
        )
    return Comparison(Operator(operator[0]), number)


def read_range(text: str, position: int) -> Range:
    """`[400 TO 499]`, `{400 TO 500}`, `[400 TO *]`. Raises SearchSyntaxError for anything else in brackets."""
    limits = text[1:-1].split()
    if len(limits) != 3 or limits[1] != "TO":  # noqa: PLR2004 - two limits and what stands between them
        raise SearchSyntaxError(
            f"{_shown(text)} is not a range. Write two numbers with TO between them, as in @http.status_code:[400 TO "
            "499]; braces leave the ends out, and * sets no limit",
            position,
        )
    low, high = (_limit(limit, position + text.find(limit, 1)) for limit in (limits[0], limits[2]))
    return Range(low, high, with_low=text[0] == "[", with_high=text[-1] == "]")


def _limit(text: str, position: int) -> Number | None:
    if text == "*":
        return None
    number = read_number(text)
    if number is None:
        raise SearchSyntaxError(
            f"a range goes from number to number, and {_shown(text)} is none. Write a number, or * for no limit",
            position,
        )
    return number


def read_networks(text: str, position: int) -> tuple[str, tuple[str, ...]]:
    """`CIDR(@ip,10.0.0.0/8,...)`: the name as written, and the networks. Raises SearchSyntaxError."""
    call = _CALL.fullmatch(text[:-1])
    assert call is not None
    name, rest = call[1], call[2]
    if not name or not rest.startswith(",") or not rest.strip(", \t\r\n"):
        raise SearchSyntaxError(
            "CIDR takes an attribute and at least one network, as in CIDR(@network.client.ip,10.0.0.0/8)", position
        )
    networks = []
    for given in _NETWORK.finditer(rest):
        try:
            networks.append(str(ip_network(given[0], strict=False)))
        except ValueError as error:
            raise SearchSyntaxError(
                f"{_shown(given[0])} is not a network. Write an address and how many of its bits count, as in "
                "10.0.0.0/8 or 2001:db8::/32",
                position + call.start(2) + given.start(),
            ) from error
    return name, tuple(networks)


def _shown(text: str) -> str:
    text = str(text)  # a token is more than its text
    return repr(text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…")
