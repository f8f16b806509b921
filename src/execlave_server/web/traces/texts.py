"""Content as it is read: JSON set out, a text as a text, folded where it is long."""

from typing import NamedTuple

import msgspec

from execlave_server.actions.show_content import SpanContent

FOLDED_OVER_CHARS = 600
PART_CHARS_MAX = 100_000  # of one part on a page; the evidence file has the whole
BEGINNING_CHARS = 120


class Part(NamedTuple):
    """One part of a span's content. `left_out` counts characters that the page does not show."""

    label: str
    text: str
    beginning: str
    folded: bool
    length: int
    left_out: int


def parts_of(content: SpanContent) -> list[Part]:
    """What a span was given, answered and said of itself, as far as it did."""
    labelled = (("Input", content.input), ("Output", content.output), ("Metadata", content.metadata))
    return [_part(label, said) for label, said in labelled if said is not None]


def _part(label: str, said: bytes) -> Part:
    text = _readable(said)
    beginning = " ".join(text[:BEGINNING_CHARS].split())
    return Part(
        label,
        text[:PART_CHARS_MAX],
        beginning,
        len(text) > FOLDED_OVER_CHARS,
        len(text),
        max(0, len(text) - PART_CHARS_MAX),
    )


def _readable(said: bytes) -> str:
    try:
        if said[:1] == b'"':
            return str(msgspec.json.decode(said, type=str))
        return msgspec.json.format(said, indent=2).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return said.decode(errors="replace")
