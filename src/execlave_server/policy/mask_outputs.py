"""Masks personal data in the output of a trace's JSON, and touches nothing else of it."""

from typing import Any

import msgspec
from msgspec import Raw

from execlave_server.policy.detect_pii import PiiKind, find_pii, mask_pii
from execlave_server.policy.texts import DEPTH_MAX, DIGITS_FROM, DIGITS_TO

OUTPUT_KEYS = ("output", "outputData")  # the second is an alias that the platform takes
WITHHELD = "[MASKED]"  # stands for what is nested too deeply to be looked through
_CODED = ("{", "[", '"')

_members = msgspec.json.Decoder(dict[str, Raw])


def mask_output(raw: bytes, kinds: frozenset[PiiKind]) -> bytes:
    """The item with every finding of these kinds in its output masked; the same bytes where there is none."""
    members = _members.decode(raw)
    changed = False
    for key in OUTPUT_KEYS:
        if key in members and (masked := _masked(members[key], kinds)) is not None:
            members[key], changed = masked, True
    return msgspec.json.encode(members) if changed else raw


def _masked(output: Raw, kinds: frozenset[PiiKind]) -> Raw | None:
    """None where nothing is to be masked. What cannot be looked through is withheld as a whole."""
    try:
        value = msgspec.json.decode(output)
        masked = _mask(value, kinds, DEPTH_MAX)
        return None if masked is value else Raw(msgspec.json.encode(masked))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Raw(msgspec.json.encode(WITHHELD))


def _mask(value: Any, kinds: frozenset[PiiKind], depth: int) -> Any:
    """The value itself where nothing in it is to be masked."""
    if isinstance(value, str):
        return _mask_text(value, kinds, depth)
    if isinstance(value, int) and DIGITS_FROM <= value < DIGITS_TO:
        text = str(value)
        masked_text = _mask_text(text, kinds, depth)
        return value if masked_text is text else masked_text
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return WITHHELD
    if isinstance(value, list):
        items = [_mask(item, kinds, depth - 1) for item in value]
        return value if all(map(_is_same, items, value)) else items
    pairs = [(_mask_text(key, kinds, depth), _mask(inner, kinds, depth - 1)) for key, inner in value.items()]
    same = all(new_key is key and new is old for (new_key, new), (key, old) in zip(pairs, value.items(), strict=True))
    return value if same else dict(pairs)


def _is_same(new: Any, old: Any) -> bool:
    return new is old


def _mask_text(text: str, kinds: frozenset[PiiKind], depth: int) -> str:
    """JSON inside a string is looked through too, where escapes may hide what it says."""
    if "\\" in text and text.startswith(_CODED) and depth > 0:
        try:
            inner = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeEncodeError):
            inner = None
        masked = _mask(inner, kinds, depth - 1)
        if masked is not inner:
            return msgspec.json.encode(masked).decode()
    findings = find_pii(text, kinds)
    return mask_pii(text, findings).encode("utf-8", "replace").decode() if findings else text
