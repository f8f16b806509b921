"""Cuts a log to the intake's limit without decoding it, so that all that is not cut stays as it was sent."""

import re

import msgspec

from execlave_server.sandbox.limits import LOG_BYTES_MAX

# A JSON string, its content first; the colon tells an attribute's name from a value.
STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)"(\s*+:)?+', re.DOTALL)

# As many whole characters as the bytes hold: never half an escape, half of UTF-8, or half a surrogate pair.
WHOLE_CHARACTERS = re.compile(
    rb"""(?:
        [^\\\x80-\xff]++
      | [\xc2-\xdf][\x80-\xbf] | [\xe0-\xef][\x80-\xbf]{2} | [\xf0-\xf4][\x80-\xbf]{3}
      | \\u[dD][89abAB]..\\u[dD][c-fC-F]..
      | \\u(?![dD][89abAB])....
      | \\[^u]
    )*+""",
    re.VERBOSE | re.DOTALL,
)

ATTRIBUTES = msgspec.json.Decoder(dict[str, msgspec.Raw])


def truncate_log(log: bytes) -> bytes:
    """The log in `LOG_BYTES_MAX` bytes: its longest strings cut and, if that is not enough, attributes left out."""
    excess = len(log) - LOG_BYTES_MAX
    if excess <= 0:
        return log
    shorter = cut_strings(log, excess)
    return shorter if len(shorter) <= LOG_BYTES_MAX else leave_out_attributes(shorter)


def cut_strings(log: bytes, excess: int) -> bytes:
    """The log shorter by at least `excess` bytes, or with every string value empty."""
    values = [match.span(1) for match in STRING.finditer(log) if match[2] is None]
    values.sort(key=lambda span: span[0] - span[1])
    cuts: list[tuple[int, int]] = []
    for start, end in values:
        if excess <= 0:
            break
        kept = WHOLE_CHARACTERS.match(log, start, max(start, end - excess))
        cut_from = kept.end() if kept else start
        cuts.append((cut_from, end))
        excess -= end - cut_from
    return without(log, cuts)


def without(log: bytes, cuts: list[tuple[int, int]]) -> bytes:
    """The log less the ranges in `cuts`."""
    pieces: list[bytes] = []
    position = 0
    for start, end in sorted(cuts):
        pieces.append(log[position:start])
        position = end
    pieces.append(log[position:])
    return b"".join(pieces)


def leave_out_attributes(log: bytes) -> bytes:
    """The log less its largest attributes: what is left to do when it is not its strings that make it long."""
    attributes = ATTRIBUTES.decode(log)
    costs = {name: len(msgspec.json.encode(name)) + len(b":,") + len(value) for name, value in attributes.items()}
    length = len(b"{}") + sum(costs.values())
    for name in sorted(costs, key=costs.__getitem__, reverse=True):
        if length <= LOG_BYTES_MAX:
            break
        del attributes[name]
        length -= costs[name]
    return msgspec.json.encode(attributes)
