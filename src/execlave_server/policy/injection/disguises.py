"""A text as a model may read it: look-alike letters, invisible characters, escapes and encodings taken off.

Each step gives a `View`: the plain text, and where each of its characters stood in the source. Finding that out costs
more than the scan, so it is done only where something was found. Every step is linear in the text's length.
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import re2

from execlave_server.policy.injection.escapes import decode_chunks, unescape
from execlave_server.policy.injection.look_alikes import LOOK_ALIKES

DECODE_DEPTH_MAX = 2  # an encoded text inside an encoded text; deeper ones no model decodes unasked

Locate = Callable[[int, int], tuple[int, int]]  # a stretch of a text -> the stretch of another that it stands for
Stretch = tuple[int, int]


class Form(StrEnum):
    """How a view's text is written, which says what rules can read it."""

    LITERAL = "literal"  # as it came
    WORDS = "words"  # lower case, words apart
    COMPACT = "compact"  # letters alone, digits read as the letters they stand for, `l` as `i`


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a text."""

    text: str
    form: Form
    locate: Locate
    words: str  # the same with its words apart: what stands around a finding is read there
    locate_in_words: Locate


def read_views(text: str, depth: int = 0) -> Iterator[View]:
    """All readings of the text that its characters give reason for."""
    yield View(text, Form.LITERAL, _same, text, _same)
    source, locate_source = unescape(text)
    folded = fold_text(source)
    locate = _through(_locate_folded(source, folded), locate_source or _same)
    yield View(folded, Form.WORDS, locate, folded, _same)
    scattered = [match.span() for match in _SCATTERED.finditer(folded)]
    if scattered:
        compact, locate_in_words = _compact_stretches(folded, scattered), _locate_compact(folded, scattered)
        yield View(compact, Form.COMPACT, _through(locate_in_words, locate), folded, locate_in_words)
    hidden = {match.lastgroup for match in _HIDDEN_WORDS.finditer(folded)}
    if "rot13" in hidden:
        turned = folded.translate(_ROT13)
        yield View(turned, Form.WORDS, locate, turned, _same)
    if "reversed" in hidden:
        turned, chars = folded[::-1], len(folded)
        yield View(turned, Form.WORDS, _through(lambda a, b: (chars - b, chars - a), locate), turned, _same)
    if depth < DECODE_DEPTH_MAX:
        decoded, locate_decoded = decode_chunks(source)
        for view in read_views(decoded, depth + 1) if decoded else ():
            yield replace(view, locate=_through(_through(view.locate, locate_decoded), locate_source or _same))


# Folding, character by character.


def fold_text(text: str) -> str:
    """Lower case, without accents and invisible characters, look-alikes as Latin letters, other signs as blanks."""
    return text.lower() if text.isascii() and not _CONTROLS.search(text) else text.translate(_FOLDED)


def fold_pattern(pattern: str) -> str:
    """A pattern for folded text: its letters beyond ASCII as the text has them, its syntax as it was."""
    return "".join(char if char.isascii() else fold_text(char) for char in pattern)


class _Folded(dict[int, str]):
    """Code point to its folded text, worked out when first met."""

    def __missing__(self, point: int) -> str:
        self[point] = folded = _fold_character(chr(point))
        return folded


_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # letters and signs to Unicode, nothing to the eye
_TAGS = range(0xE0020, 0xE007F)  # an invisible copy of ASCII, which models read


def _fold_character(character: str) -> str:
    if ord(character) in _TAGS:
        return chr(ord(character) - 0xE0000).lower()
    if character in _BLANK_LETTERS:
        return ""
    if character in LOOK_ALIKES:
        return LOOK_ALIKES[character]
    parts = "".join(_fold_part(part) for part in unicodedata.normalize("NFKD", character))
    return unicodedata.normalize("NFC", parts)


def _fold_part(part: str) -> str:
    if part.isascii():
        return part.lower() if part.isprintable() or part in "\t\n\r" else ""
    part = LOOK_ALIKES.get(part, part).lower()
    match unicodedata.category(part[0])[0]:
        case "M" | "C":  # accents; what is invisible, private or unassigned
            return ""
        case "Z" | "P" | "S" if not part.isascii():
            return " "
        case _:
            return LOOK_ALIKES.get(part, part)


_FOLDED = _Folded()
_CONTROLS = re2.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

# Stretches written so that words do not show.

_SCATTERED = re2.compile(
    r"(?:\b[0-9a-z$@]{1,5}[^0-9a-z$@]{1,3}){8,}(?:[0-9a-z$@]{1,5}\b)?"  # letters apart, or words cut into short pieces
    r"|[0-9a-z$@]{20,}"  # words run together
    # a word with digits in it, and the words around it
    r"|(?:[a-z]+[^0-9a-z$@]{1,3}){0,5}[a-z]*(?:[a-z][013457$@]|[013457$@][a-z])[0-9a-z$@]*[^0-9a-z$@]{0,3}"
    r"(?:[0-9a-z$@]+[^0-9a-z$@]{1,3}){0,8}"
)
_COMPACT = bytes.maketrans(b"l013457$@89", b"ioieastsabg")
_NOT_COMPACT = bytes(point for point in range(128) if not chr(point).isalnum() and chr(point) not in "$@") + b"26"


def _compact_stretches(folded: str, stretches: list[Stretch]) -> str:
    """The letters alone of these stretches, a line each unless the next goes on where one ends."""
    pieces: list[str] = []
    last_end = 0
    for start, end in stretches:
        pieces += "" if start == last_end else "\n", _compact(folded[start:end])
        last_end = end
    return "".join(pieces)


def _compact(folded: str) -> str:
    return folded.encode("ascii", "ignore").translate(_COMPACT, _NOT_COMPACT).decode("ascii")


# Words that show that a text stands turned: by 13 letters, or from its end.

_HIDDEN_WORDS = re2.compile(
    r"(?P<rot13>\b(?:gur|naq|lbhe|cerivbhf|vtaber|qvfertneq|sbetrg|erirny|flfgrz|cebzcg|frperg|cnffjbeq|vafgehpgvbaf?"
    r"|nffvfgnag|olcnff)\b)|(?P<reversed>\b(?:erongi|dragersid|tegrof|laever|metsys|tpmorp|snoitcurtsni|suoiverp)\b)"
)
_ROT13 = {97 + place: 97 + (place + 13) % 26 for place in range(26)}  # folded text is lower case


# From a place in a view to its place in the source.


def _same(start: int, end: int) -> Stretch:
    return start, end


def _through(inner: Locate, outer: Locate) -> Locate:
    return inner if outer is _same else lambda start, end: outer(*inner(start, end))


def _locate_folded(source: str, folded: str) -> Locate:
    if len(source) == len(folded) and source.isascii():
        return _same
    return lambda start, end: _pick([at for at, char in enumerate(source) for _ in _FOLDED[ord(char)]], start, end)


def _locate_compact(folded: str, stretches: list[Stretch]) -> Locate:
    def places() -> Iterator[int]:
        last_end = 0
        for start, end in stretches:
            if start != last_end:
                yield start  # of the line's end
            yield from (at for at in range(start, end) if _compact(folded[at]))
            last_end = end

    return lambda start, end: _pick(list(places()), start, end)


def _pick(places: list[int], start: int, end: int) -> Stretch:
    return places[start], places[end - 1] + 1
