import gzip
import zlib

import pytest
import zstandard

from execlave_server.sandbox.decompress_body import ContentEncoding, decompress_body, read_encoding
from execlave_server.sandbox.limits import BODY_BYTES_MAX, GZIP_MEMBERS_MAX
from execlave_server.sandbox.refusals import RefusedError

COMPRESS = {
    ContentEncoding.IDENTITY: bytes,
    ContentEncoding.GZIP: gzip.compress,
    ContentEncoding.DEFLATE: zlib.compress,
    ContentEncoding.ZSTD: zstandard.compress,
}
COMPRESSED = [ContentEncoding.GZIP, ContentEncoding.DEFLATE, ContentEncoding.ZSTD]


def zstd_stream(data: bytes) -> bytes:
    """Zstandard as a stream makes it: without the length in its header."""
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", ContentEncoding.IDENTITY),
        ("identity", ContentEncoding.IDENTITY),
        (" GZIP ", ContentEncoding.GZIP),
        ("deflate", ContentEncoding.DEFLATE),
        ("zstd", ContentEncoding.ZSTD),
        ("zstd1", ContentEncoding.ZSTD),
    ],
)
def test_reads_the_encodings_senders_use(header, encoding):
    """A Content-Encoding is known by its name in any case, and the official client's zstd1 is zstd."""
    assert read_encoding(header) is encoding


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "zstd2"])
def test_refuses_other_encodings_by_name(header):
    """An encoding the intake does not take is a 400 that names it."""
    with pytest.raises(RefusedError, match=f"^Content-Encoding {header} is not supported") as refused:
        read_encoding(header)

    assert refused.value.status == 400


@pytest.mark.parametrize("encoding", ContentEncoding)
@pytest.mark.parametrize("body", [b"x", b'[{"message": "one"}]', b"a" * BODY_BYTES_MAX])
def test_gives_back_what_was_compressed(encoding, body):
    """A body up to the limit, the limit included, comes back as it was."""
    assert decompress_body(COMPRESS[encoding](body), encoding) == body


@pytest.mark.parametrize("encoding", ContentEncoding)
@pytest.mark.parametrize("excess", [1, 40_000_000])
def test_refuses_more_than_the_limit(encoding, excess):
    """One byte over the limit is a 413, and so is a bomb."""
    wire = COMPRESS[encoding](b"a" * (BODY_BYTES_MAX + excess))

    with pytest.raises(RefusedError, match="Request too large") as refused:
        decompress_body(wire, encoding)

    assert refused.value.status == 413


def test_refuses_a_zstd_stream_over_the_limit():
    """A zstd frame that does not tell its length is bounded all the same."""
    with pytest.raises(RefusedError, match="Request too large"):
        decompress_body(zstd_stream(b"a" * (BODY_BYTES_MAX + 1)), ContentEncoding.ZSTD)


def test_reads_several_gzip_members_and_zstd_frames():
    """Gzip members and zstd frames that follow each other are one body."""
    assert decompress_body(gzip.compress(b"[1,") + gzip.compress(b"2]"), ContentEncoding.GZIP) == b"[1,2]"
    assert decompress_body(zstandard.compress(b"[1,") + zstd_stream(b"2]"), ContentEncoding.ZSTD) == b"[1,2]"


def test_bounds_the_sum_of_gzip_members():
    """Members that fit one by one are refused when together they do not."""
    half = gzip.compress(b"a" * (BODY_BYTES_MAX // 2 + 1))

    with pytest.raises(RefusedError, match="Request too large"):
        decompress_body(half + half, ContentEncoding.GZIP)


def test_bounds_the_number_of_gzip_members():
    """Empty members without end are refused: they expand to nothing but cost work."""
    assert decompress_body(gzip.compress(b"") * GZIP_MEMBERS_MAX, ContentEncoding.GZIP) == b""

    with pytest.raises(RefusedError, match="more than 1000 gzip members"):
        decompress_body(gzip.compress(b"") * (GZIP_MEMBERS_MAX + 1), ContentEncoding.GZIP)


@pytest.mark.parametrize(
    ("wire", "encoding"),
    [
        *((b"not compressed at all", encoding) for encoding in COMPRESSED),
        *((COMPRESS[encoding](b"a" * 99) + b"junk", encoding) for encoding in COMPRESSED),
        (zlib.compress(b"[]") + zlib.compress(b"[]"), ContentEncoding.DEFLATE),
        (gzip.compress(b"a" * 99)[:-1], ContentEncoding.GZIP),
        (gzip.compress(b"a" * 99)[:-8] + bytes(8), ContentEncoding.GZIP),
        (zlib.compress(b"a" * 99)[:-4] + bytes(4), ContentEncoding.DEFLATE),
        (zlib.compress(b"a" * 99, wbits=-15), ContentEncoding.DEFLATE),
        (zstd_stream(b"a" * 99)[:-4] + bytes(4), ContentEncoding.ZSTD),
    ],
)
def test_refuses_what_does_not_decompress(wire, encoding):
    """Junk, a broken checksum, a short stream, two zlib streams or deflate without its zlib wrapper is a 400."""
    with pytest.raises(RefusedError, match="the body does not decompress: ") as refused:
        decompress_body(wire, encoding)

    assert refused.value.status == 400


def test_refuses_a_zstd_window_over_eight_megabytes():
    """A frame that asks its reader for more memory than RFC 9659 allows is a 400."""
    parameters = zstandard.ZstdCompressionParameters(window_log=24)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    wire = stream.compress(b"[]") + stream.flush()

    with pytest.raises(RefusedError, match="requires too much memory"):
        decompress_body(wire, ContentEncoding.ZSTD)
