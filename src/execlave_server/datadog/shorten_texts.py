from collections.abc import Sequence

import msgspec

_encode = msgspec.json.Encoder().encode
_MARK = "…"
_MARK_BYTES = len(_encode(_MARK))
_SEPARATOR_BYTES = 1  # the comma between two members of a list


def json_bytes(text: str) -> int:
    """How many bytes a text takes as JSON, quotes and escapes included."""
    return len(_encode(text))


def shorten_texts(texts: Sequence[str], bytes_max: int) -> list[str]:
    """The texts in so many bytes of JSON together, the longest cut first and to one length; `…` ends each that is cut.

    What is short stays whole. A text keeps at least its ellipsis, so very many texts may still take more.
    """
    if len(_encode(texts)) - _SEPARATOR_BYTES <= bytes_max:  # a list has one separator less, and two brackets
        return list(texts)
    sizes = [json_bytes(text) for text in texts]
    longest = _longest_allowed(sizes, bytes_max - _SEPARATOR_BYTES * len(sizes))
    return [text if size <= longest else _cut(text, longest) for text, size in zip(texts, sizes, strict=True)]


def _longest_allowed(sizes: Sequence[int], bytes_max: int) -> int:
    """The greatest length at which, with everything longer cut to it, all fit."""
    left = bytes_max
    for place, size in enumerate(ordered := sorted(sizes)):
        share = left // (len(ordered) - place)
        if size > share:
            return max(share, _MARK_BYTES)
        left -= size
    return max(sizes, default=0)


def _cut(text: str, bytes_max: int) -> str:
    """The longest beginning of a text that fits with its ellipsis."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if json_bytes(text[:middle] + _MARK) <= bytes_max:
            low = middle
        else:
            high = middle - 1
    return text[:low] + _MARK
