import enum
from typing import Final

import zstandard
from isal import isal_zlib

from execlave_server.sandbox.limits import BODY_BYTES_MAX, GZIP_MEMBERS_MAX, ZSTD_WINDOW_BYTES_MAX
from execlave_server.sandbox.refusals import RefusedError, too_large

ZLIB_WRAPPED: Final = 15
GZIP_WRAPPED: Final = 31


class ContentEncoding(enum.Enum):
    """How a request's body is compressed."""

    IDENTITY = "identity"
    GZIP = "gzip"
    DEFLATE = "deflate"
    ZSTD = "zstd"


def read_encoding(header: str) -> ContentEncoding:
    """The encoding a Content-Encoding header names. `zstd1` is the official client's word for zstd."""
    name = header.strip().lower()
    if name in {"", "identity"}:
        return ContentEncoding.IDENTITY
    if name == "zstd1":
        return ContentEncoding.ZSTD
    try:
        return ContentEncoding(name)
    except ValueError as error:
        raise RefusedError(400, f"Content-Encoding {name} is not supported: use gzip, deflate, zstd or none") from error


def decompress_body(wire: bytes, encoding: ContentEncoding) -> bytes:
    """The body as sent before compression; never expands past one byte more than the limit."""
    body = decode(wire, encoding)
    if len(body) > BODY_BYTES_MAX:
        raise too_large()
    return body


def decode(wire: bytes, encoding: ContentEncoding) -> bytes:
    """At least the first `BODY_BYTES_MAX + 1` bytes of the body, or all of a shorter one."""
    match encoding:
        case ContentEncoding.IDENTITY:
            return wire
        case ContentEncoding.GZIP:
            return inflate(wire, GZIP_WRAPPED)
        case ContentEncoding.DEFLATE:
            return inflate(wire, ZLIB_WRAPPED)
        case ContentEncoding.ZSTD:
            return expand_zstd(wire)


def inflate(wire: bytes, window_bits: int) -> bytes:
    """Gzip, which may come in several members, or zlib, which may not."""
    members: list[bytes] = []
    room = BODY_BYTES_MAX + 1
    while wire and room:
        if len(members) == GZIP_MEMBERS_MAX:
            raise RefusedError(400, f"the body has more than {GZIP_MEMBERS_MAX} gzip members")
        stream = isal_zlib.decompressobj(window_bits)
        try:
            members.append(stream.decompress(wire, room))
        except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub takes the class for an instance
            raise RefusedError(400, f"the body does not decompress: {error}") from error
        room -= len(members[-1])
        if room and not stream.eof:
            raise RefusedError(400, "the body does not decompress: it ends too early")
        if window_bits == ZLIB_WRAPPED and stream.unused_data:
            raise RefusedError(400, "the body does not decompress: bytes follow the end of the data")
        wire = stream.unused_data
    return b"".join(members)


def expand_zstd(wire: bytes) -> bytes:
    """Zstandard frames. A frame cut short is not an error here: its JSON is cut short too, and refused for that."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
    try:
        with decompressor.stream_reader(wire, read_across_frames=True) as reader:
            return reader.read(BODY_BYTES_MAX + 1)
    except zstandard.ZstdError as error:
        raise RefusedError(400, f"the body does not decompress: {error}") from error
