"""Texts against words, phrases and wildcards, in linear time."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import re2

from execlave_server.datadog.search.query import Pattern, Phrase, Wildcard

TextTest: TypeAlias = Callable[[str], bool]

TEXTS_REMEMBERED = 128  # the messages of a page repeat, and each term asks for the words of the same one
_SEPARATORS = re.compile(r"\W+")


def whole_text(value: Pattern | Phrase, prefix: str = "") -> TextTest:
    """True for the text that the value says, all of it, behind `prefix`; letters count as they are."""
    if isinstance(value, Phrase) or value.literal is not None:
        wanted = prefix + (value.text if isinstance(value, Phrase) else value.literal or "")
        return lambda text: text == wanted
    match value.pieces:
        case (str(head), Wildcard.ANY):
            start = prefix + head
            return lambda text: text.startswith(start)
        case (Wildcard.ANY, str(tail)) if not prefix:
            return lambda text: text.endswith(tail)
        case (Wildcard.ANY, str(middle), Wildcard.ANY) if not prefix:
            return lambda text: middle in text
    pattern = _compile(_plain(prefix) + "".join(_piece(piece, ".") for piece in value.pieces))
    return lambda text: pattern.fullmatch(_encodable(text)) is not None


def words_within(value: Pattern | Phrase) -> TextTest:
    """True where the words of the value follow each other in a text, in capitals or not.

    A word is a run of letters, digits and underscores; what stands between words cannot be searched, so a value
    without any word is found nowhere. A wildcard stays within a word.
    """
    if isinstance(value, Phrase) or value.literal is not None:
        wanted = words_of(value.text if isinstance(value, Phrase) else value.literal or "")
        return (lambda text: wanted in words_of(text)) if wanted else (lambda _text: False)
    pieces = [_SEPARATORS.sub(" ", piece.lower()) if isinstance(piece, str) else piece for piece in value.pieces]
    if isinstance(pieces[0], str):
        pieces[0] = pieces[0].lstrip()
    if isinstance(pieces[-1], str):
        pieces[-1] = pieces[-1].rstrip()
    pattern = _compile(" " + "".join(_piece(piece, r"\S") for piece in pieces) + " ")
    return lambda text: pattern.search(_encodable(words_of(text))) is not None


@lru_cache(TEXTS_REMEMBERED)
def words_of(text: str) -> str:
    """The words of a text, lower-cased, one blank around each."""
    words = _SEPARATORS.sub(" ", text.lower()).strip()
    return f" {words} " if words else ""


def _piece(piece: str | Wildcard, one: str) -> str:
    match piece:
        case Wildcard.ANY:
            return f"{one}*"
        case Wildcard.ONE:
            return one
        case _:
            return _plain(piece)


def _plain(text: str) -> str:
    escaped: str = re2.escape(_encodable(text))
    return escaped


def _encodable(text: str) -> str:
    """Half of a surrogate pair has no UTF-8, which is what the engine reads."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _compile(pattern: str) -> "re2._Regexp":
    options = re2.Options()
    options.dot_nl = True
    options.never_capture = True
    options.log_errors = False
    return re2._Regexp(pattern, options)  # noqa: SLF001  re2.compile would keep it in a cache
