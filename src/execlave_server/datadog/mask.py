"""Makes error messages and span names fit to leave the company: secrets and personal data become `[masked:<kind>]`."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from execlave_server.model.sensitive_text import (
    KEY_HINTS,
    Kind,
    Span,
    find_at_signs,
    find_hex,
    find_keys,
    find_numbers,
    looks_random,
)

WINDOW_CHARS = 16_384  # what is looked at; the rest of a longer text is dropped unread
EDGE_CHARS = 512  # dropped at the window's end, where a secret may lack the part that gives it away
EDGE_WORD_CHARS_MAX = 4_096  # how far back a word that crosses that edge is dropped as a whole
PASSES_MAX = 8  # a marker can lay bare what stood beside it; two passes are usual, and more are hostile
NAME_CHARS_MAX = 256  # a longer name is not worth remembering
NAMES_MAX = 4_096  # remembered at a time: 4,096 names of 256 characters are about 2 MB

MARKER = re.compile(rf"\[masked:(?:{'|'.join(Kind)})\]")

_PAIR_HINTS = (
    "passw", "passp", "passc", "pwd", "secret", "token", "key", "authoriz", "cookie", "sess", "credential", "bearer",
    "basic", "akia", "asia", "phone", "mobile",
)  # fmt: skip
_PAIR = re.compile(
    # Each alternative starts with a letter, so that the engine skips to one of these.
    r"(?P<word>password|passwd|passphrase|passcode|pwd|secret|token|credential|authorization|cookie|session|sessid"
    r"|api[_ .-]?key|access[_ .-]?key|private[_ .-]?key|account[_ .-]?key|app[_ .-]?key|application[_ .-]?key"
    r"|signing[_ .-]?key|encryption[_ .-]?key|auth[_ .-]?key|master[_ .-]?key|license[_ .-]?key)"
    r"(?P<suffix>[a-z0-9_-]{0,40}+)(?:\\{0,3}[\"'`]\]?|\])?"
    r"(?P<separator>[ \t]{0,8}(?::=|=>|==?|:)[ \t]{0,8}|, {0,4}| {1,4})"
)
_KEY_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789_.-"
KEY_CHARS_MAX = 40  # of a key are looked at on either side of the word that gives it away
# Suffixes that make the key speak about a secret instead of holding one: token_count, secret_name, secretary.
_HARMLESS_SUFFIXES = (
    "count", "limit", "usage", "type", "length", "size", "policy", "name", "names", "expiry", "expires", "expired",
    "expires_in", "expires_at", "ttl", "timeout", "budget", "version", "status", "required", "enabled", "izer", "ary",
    "aries", "url", "uri", "file", "path", "arn", "cost", "price", "used", "remaining", "manager", "per_minute",
    "per_min", "per_day", "total", "details",
)  # fmt: skip
_HARMLESS_VALUES = frozenset({
    "none", "null", "nil", "true", "false", "undefined", "missing", "required", "empty", "invalid", "expired",
    "revoked", "unset", "unknown", "redacted", "masked", "hidden", "not", "is", "must",
})  # fmt: skip
_VALUE = re.compile(
    r"[bru]{0,2}(?P<quote>\\{0,7}[\"'`])(?P<quoted>[\s\S]*?)(?:(?<!\\)(?P=quote)|\Z)"
    r"|(?!\[masked:)(?P<held>[\[{][^\]}]*[\]}]?[^\s&,;\"'`)\]}]*)"
    r"|(?:(?:bearer|basic|digest|token|apikey|negotiate|aws4-hmac-sha256)[ \t]{1,4})?"
    # An unquoted value goes on to a blank, or to a separator that a blank, the end or the next key follows.
    r"(?P<bare>[^\s&,;\"'`]*+(?:(?:[&,;](?!\s|\Z|[\w.-]{1,64}[ \t]{0,4}[=:])|[\"'`](?=[a-z0-9]))[^\s&,;\"'`]*+)*+)"
)
_MORE_COOKIES = re.compile(r"(?:[\"']?; ?[^\s;]+)*+")
_TRIM = " \t\r\n*…()[]{}<>.,;:\\\"'`"  # around a value these say nothing
_BEARER = re.compile(r"(?:bearer|basic)[ \t]{1,4}(?P<value>[a-z0-9._~+/=-]{8,})")
OPAQUE_CHARS_MIN = 16  # a word after `Bearer` that is this long is a credential whatever its letters
_AWS_SECRET = re.compile(
    r"(?:secret|akia[a-z0-9]{16}|asia[a-z0-9]{16})[^\n]{0,40}?"
    r"(?<![a-z0-9/+=])(?P<value>[a-z0-9/+]{40})(?![a-z0-9/+=])"
)
_NAMED_PHONE = re.compile(  # a plain number is a phone number only where it is called one
    r"""(?:phone|mobile)[a-z_ ]{0,12}[\\"']{0,4} ?[:=] ?[\\"']{0,4}(?P<value>[0-9(][0-9 ().-]{5,18}[0-9])"""
)
_COUNT_OR_WORD = re.compile(r"[0-9][0-9.,/%k]*|[a-z]+")
_KINDS_BY_WORD = {
    **dict.fromkeys(("password", "passwd", "passphrase", "passcode", "pwd"), Kind.PASSWORD),
    "authorization": Kind.AUTHORIZATION,
}


class Masked(NamedTuple):
    """The text that may leave, whether its end was cut off, and whether anything in it was masked."""

    text: str
    cut: bool
    masked: bool


def mask_text(text: str, limit_chars: int = 1024) -> Masked:
    """Masks first and cuts second, so that no half secret survives; `…` ends a cut text, inside the limit.

    Linear in the text's length up to 16,384 characters, constant beyond. Masking the result again changes nothing.
    """
    if limit_chars < 1:
        raise ValueError("limit_chars must be at least 1, for the ellipsis")
    limit_chars = min(limit_chars, WINDOW_CHARS - EDGE_CHARS)  # so that the result fits the window
    window, edge = text[:WINDOW_CHARS], _safe_edge(text)
    cut = masked = False
    for _ in range(PASSES_MAX):
        spans = _find_spans(window)
        masked = masked or bool(spans)
        result = _replace(window, spans, edge)
        if edge < len(window) or len(result) > limit_chars:
            cut = True
            result = _cut(result, limit_chars)
        if result == window:
            return Masked(result, cut, masked)
        window, edge = result, len(result)
    whole = f"[masked:{Kind.SECRET}]"  # it does not settle: nothing of it may leave
    return Masked(whole if len(whole) <= limit_chars else _cut(whole, limit_chars), cut=True, masked=True)


def mask_name(text: str) -> Masked:
    """mask_text for span and tool names, which repeat: short ones are remembered."""
    return _mask_short_name(text) if len(text) <= NAME_CHARS_MAX else mask_text(text)


@lru_cache(maxsize=NAMES_MAX)
def _mask_short_name(text: str) -> Masked:
    return mask_text(text)


def _safe_edge(text: str) -> int:
    """How much of the text to keep: of a longer one so little that no secret reaches over the window's end unseen."""
    if len(text) <= WINDOW_CHARS:
        return len(text)
    edge = WINDOW_CHARS - EDGE_CHARS
    blank = max(text.rfind(blank, edge - EDGE_WORD_CHARS_MAX, edge) for blank in " \n\t")
    return edge if blank < 0 else blank


def _cut(text: str, limit_chars: int) -> str:
    """The start of the text and `…`, never ending inside a marker."""
    kept = text[: limit_chars - 1]
    marker = MARKER.match(text, max(kept.rfind("["), 0))
    if marker is not None and marker.start() < len(kept) < marker.end():
        kept = kept[: marker.start()]
    return kept + "…"


def _replace(text: str, spans: list[Span], edge: int) -> str:
    """The text up to `edge` with a marker for each span; spans that overlap become one, of the first one's kind."""
    if not spans:
        return text[:edge]
    pieces: list[str] = []
    done = 0
    for span in sorted(spans, key=lambda span: span.start):
        if span.start >= edge:
            break
        if span.start >= done:
            pieces += text[done : span.start], f"[masked:{span.kind}]"
        done = max(done, span.end)
    pieces.append(text[done:edge])
    return "".join(pieces)


def _find_spans(text: str) -> list[Span]:
    """Everything to mask; cheap searches decide which patterns are worth running."""
    spans: list[Span] = []
    if _holds_any(text, KEY_HINTS):
        spans += find_keys(text)
    if "@" in text:
        spans += find_at_signs(text)
    spans += find_hex(text)
    spans += find_numbers(text)
    lowered = text.lower()
    if len(lowered) != len(text):  # one letter in Unicode grows when lowered; positions must stay
        lowered = "".join(character.lower()[0] for character in text)
    if _holds_any(lowered, _PAIR_HINTS):
        spans += _find_pairs(lowered)
        spans += _find_named(text, lowered)
    if spans and "[masked:" in text:  # what is masked already stays as it is
        spans = [span for span in spans if MARKER.sub("", text[span.start : span.end]).strip(_TRIM)]
    return spans


def _holds_any(text: str, hints: tuple[str, ...]) -> bool:
    for hint in hints:  # noqa: SIM110  a generator costs three times as much
        if hint in text:
            return True
    return False


def _find_pairs(lowered: str) -> Iterator[Span]:
    """The values of keys such as password, client_secret, `"apiKey"`, Cookie or --token."""
    at = 0
    while pair := _PAIR.search(lowered, at):
        at = pair.end()
        value = _VALUE.match(lowered, at) if _names_a_secret(lowered, pair) else None
        if value is None:
            continue
        form = value.lastgroup or ""
        start, end = value.span(form)
        if form == "bare":
            if pair["word"] == "cookie" and (more := _MORE_COOKIES.match(lowered, end)):
                end = more.end()
            end = start + len(lowered[start:end].rstrip(")}\\"))
        at = max(at, end)
        said = lowered[start:end].strip(_TRIM)
        if not said or said in _HARMLESS_VALUES:
            continue
        if form == "bare" and _may_be_a_mention(lowered, pair) and _COUNT_OR_WORD.fullmatch(said):
            continue
        yield Span(start, end, _KINDS_BY_WORD.get(pair["word"], Kind.SECRET))


def _names_a_secret(lowered: str, pair: re.Match[str]) -> bool:
    if pair["suffix"].endswith(_HARMLESS_SUFFIXES) or lowered.endswith(("[masked:", "unexpected "), 0, pair.start()):
        return False
    separator = pair["separator"]
    if ":" in separator or "=" in separator:
        return True
    is_flag = lowered.startswith("--", _key_start(lowered, pair))
    return is_flag or ("," in separator and pair["word"] == "authorization")


def _may_be_a_mention(lowered: str, pair: re.Match[str]) -> bool:
    """Whether the key may name a count, a state or a path: `tokens: 9001`, `session: closed`, `/oauth/token: 401`."""
    named = pair["word"] + pair["suffix"]
    return named in {"tokens", "session", "sessions"} or lowered.endswith("/", 0, _key_start(lowered, pair))


def _key_start(lowered: str, pair: re.Match[str]) -> int:
    """Where the whole key starts, of which the pair's word may be the middle."""
    before = lowered[max(0, pair.start() - KEY_CHARS_MAX) : pair.start()]
    return pair.start() - len(before) + len(before.rstrip(_KEY_CHARS))


def _find_named(text: str, lowered: str) -> Iterator[Span]:
    """What only the words before it give away: Bearer and Basic credentials, AWS secret keys, plain phone numbers."""
    for match in _BEARER.finditer(lowered):
        start, end = match.span("value")
        if end - start >= OPAQUE_CHARS_MIN or looks_random(text[start:end].strip("._~+/=-")):
            yield Span(start, end, Kind.AUTHORIZATION)
    for match in _AWS_SECRET.finditer(lowered):
        if looks_random(text[match.start("value") : match.end("value")]):
            yield Span(*match.span("value"), Kind.AWS_KEY)
    for match in _NAMED_PHONE.finditer(lowered):
        yield Span(*match.span("value"), Kind.PHONE)
