"""Text written as escapes or as encoded chunks, read; with the place in the source of what was read."""

import base64
import binascii
import bisect
import html
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import unquote

import re2

READABLE_MIN = 0.9  # decoded bytes of which less is readable are a picture or a key, not words

_ESCAPES = re2.compile(
    r"(?:%[0-9A-Fa-f]{2})+|&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[a-zA-Z]{2,8});"
    r"|\\u\{?[0-9A-Fa-f]{4,6}\}?|\\x[0-9A-Fa-f]{2}|\\[nrt]"
)
_CHUNKS = re2.compile(
    r"(?P<hex>\b(?:0[xX])?[0-9A-Fa-f]{2}(?:[ :,]?(?:0x)?[0-9A-Fa-f]{2}){15,}\b)"
    r"|(?P<base64>[A-Za-z0-9+/_-]{24,}(?:\r?\n[A-Za-z0-9+/_-]+)*={0,2})"
)
_UNREADABLE = re2.compile(r"[^\t\n\r -~\pL\pN\pP\pZ]")
_HEX_SIGNS = str.maketrans("", "", " :,xX")
_SAFE_LETTERS = str.maketrans("-_", "+/", "\r\n=")


class Part(NamedTuple):
    """A piece of what was read, and the stretch of the source it came from."""

    text: str
    start: int
    end: int
    decoded: bool


def unescape(text: str) -> tuple[str, Callable[[int, int], tuple[int, int]] | None]:
    r"""The text with percent, HTML, `\u` and `\x` escapes read in place; no place-finder where there were none."""
    if "%" not in text and "\\" not in text and "&" not in text:
        return text, None
    parts: list[Part] = []
    done = 0
    for match in _ESCAPES.finditer(text):
        parts += (
            Part(text[done : match.start()], done, match.start(), decoded=False),
            Part(_unescape_one(match.group()), match.start(), match.end(), decoded=True),
        )
        done = match.end()
    if not parts:
        return text, None
    parts.append(Part(text[done:], done, len(text), decoded=False))
    return "".join(part.text for part in parts), _locator(parts)


def decode_chunks(text: str) -> tuple[str, Callable[[int, int], tuple[int, int]]]:
    """What base64 and hexadecimal chunks of the text say, a line each."""
    parts = [
        Part(decoded + "\n", match.start(), match.end(), decoded=True)
        for match in _CHUNKS.finditer(text)
        if (decoded := _decode(match.group(), is_hex=match.group("hex") is not None))
    ]
    return "".join(part.text for part in parts), _locator(parts)


def _unescape_one(escape: str) -> str:
    if escape[0] == "%":
        return unquote(escape, errors="replace")
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[1] in "nrt":
        return "\n"
    point = int(escape[2:].strip("{}"), 16)
    return chr(point) if point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF else (" ")  # noqa: PLR2004  UTF-8 has no others


def _decode(chunk: str, *, is_hex: bool) -> str:
    """The text in an encoded chunk; empty where there is none."""
    try:
        if is_hex:
            raw = bytes.fromhex(chunk.replace("0x", "").replace("0X", "").translate(_HEX_SIGNS))
        else:
            letters = chunk.translate(_SAFE_LETTERS)
            raw = base64.b64decode(letters[: len(letters) - (len(letters) % 4 == 1)] + "==")
    except (binascii.Error, ValueError):
        return ""
    decoded = raw.decode("utf-8", "ignore")
    unreadable = len(raw) - len(decoded.encode()) + len(_UNREADABLE.findall(decoded))
    return decoded if unreadable <= (1 - READABLE_MIN) * len(raw) else ""


def _locator(parts: list[Part]) -> Callable[[int, int], tuple[int, int]]:
    """Inside what was decoded a place is the whole of it; elsewhere it is exact."""

    def locate(start: int, end: int) -> tuple[int, int]:
        ends = list(accumulate(len(part.text) for part in parts))

        def place(at: int) -> tuple[int, int]:
            index = bisect.bisect_right(ends, at)
            part = parts[index]
            exact = part.start + at - (ends[index] - len(part.text))
            return (part.start, part.end) if part.decoded else (exact, exact + 1)

        return place(start)[0], place(end - 1)[1]

    return locate
