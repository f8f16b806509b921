import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlave_server.model.json_bytes import canonical_json, digest, mend_surrogates

# Text as JavaScript has it: surrogates may stand alone. Weighted, so that backslashes and halves meet.
CHARACTERS = st.one_of(
    st.sampled_from(["\\", '"', "\ud83d", "\ude00", "\udbff", "\udc00", "u", "d83d", "\ufffd", "😀", "\x00", "\n"]),
    st.characters(exclude_categories=()),
)
TEXTS = st.lists(CHARACTERS, max_size=12).map("".join)
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def sane(value):
    """The document with each half surrogate as the replacement character, by another road: UTF-16 and back."""
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [sane(inner) for inner in value]
        case dict():
            return {sane(key): sane(inner) for key, inner in value.items()}
    return value


@pytest.mark.parametrize(
    ("body", "mended"),
    [
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\uD83D\uDE00"', rb'"\uD83D\uDE00"'),
        (rb'"cut \ud83d"', rb'"cut \ufffd"'),
        (rb'"\ude00 cut"', rb'"\ufffd cut"'),
        (rb'"\ud83d \ude00"', rb'"\ufffd \ufffd"'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00\ude00"', rb'"\ud83d\ude00\ufffd"'),
        (rb'"\udbff\udfff\udbff"', rb'"\udbff\udfff\ufffd"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\\\\ud83d"', rb'"\\\\ud83d"'),
        (rb'"\\\\\ud83d"', rb'"\\\\\ufffd"'),
        (rb'"\ud83d\\ude00"', rb'"\ufffd\\ude00"'),
        (rb'"\"\ud83d\""', rb'"\"\ufffd\""'),
        (rb'"\ud7ff\ue000"', rb'"\ud7ff\ue000"'),
        (rb'{"\ud83d":["\udc00"]}', rb'{"\ufffd":["\ufffd"]}'),
        ('"ud83d 😀 ü"'.encode(), '"ud83d 😀 ü"'.encode()),
        (b"", b""),
    ],
)
def test_half_surrogates_are_replaced(body, mended):
    r"""Each half of a pair becomes \ufffd; pairs, and backslashes that are themselves escaped, stay."""
    assert mend_surrogates(body) == mended


@given(DOCUMENTS, st.booleans())
def test_what_is_json_parses_once_mended(document, ascii_only):
    """Whatever JSON.stringify sends is readable after mending, and means the same but for the halves."""
    text = json.dumps(document, ensure_ascii=ascii_only)
    body = text.encode() if ascii_only else json.dumps(sane(document), ensure_ascii=False).encode()
    wanted = sane(json.loads(body))

    assert msgspec.json.decode(mend_surrogates(body)) == wanted


@given(DOCUMENTS)
def test_mending_twice_is_mending_once(document):
    """A mended body stays as it is."""
    mended = mend_surrogates(json.dumps(document).encode())

    assert mend_surrogates(mended) == mended


@given(st.binary(max_size=60))
def test_bytes_without_escapes_stay(body):
    """What holds no escape of a surrogate is not touched."""
    body = body.replace(b"\\u", b"")

    assert mend_surrogates(body) == body


def shuffled(value):
    """The same document with the keys of every object in reverse."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


@given(DOCUMENTS.map(sane))
def test_equal_documents_have_equal_bytes(document):
    """Neither the order of keys, nor blanks, nor escapes change the canonical form."""
    plain = json.dumps(document, ensure_ascii=False).encode()
    other = json.dumps(shuffled(document), indent=2).encode()

    assert canonical_json(plain) == canonical_json(other)
    assert digest(plain) == digest(other)


@given(DOCUMENTS.map(sane))
def test_the_canonical_form_means_the_same(document):
    """The canonical form is JSON of the same document, and its own canonical form."""
    canonical = canonical_json(json.dumps(document).encode())

    assert json.loads(canonical) == json.loads(json.dumps(document))
    assert canonical_json(canonical) == canonical


@pytest.mark.parametrize(
    ("document", "canonical"),
    [
        (b' { "b" : 1 , "a" : [ 1, 2 ] } ', b'{"a":[1,2],"b":1}'),
        (b'{"b":{"z":null,"y":true},"a":""}', b'{"a":"","b":{"y":true,"z":null}}'),
        (rb'"\u00fc\n"', '"ü\\n"'.encode()),
    ],
)
def test_the_canonical_form_is_fixed(document, canonical):
    """Sorted keys, no blanks, UTF-8; digests stored today must be found again by later versions."""
    assert canonical_json(document) == canonical
    assert digest(document) == hashlib.sha256(canonical).hexdigest()


@pytest.mark.parametrize(
    ("one", "other"), [(b"[1,2]", b"[2,1]"), (b'{"a":1}', b'{"a":"1"}'), (b'{"a":null}', b"{}"), (b"true", b"1")]
)
def test_other_documents_have_other_bytes(one, other):
    """Order in lists, types and the presence of a key are part of a document."""
    assert canonical_json(one) != canonical_json(other)
    assert digest(one) != digest(other)


@pytest.mark.parametrize("broken", [b"", b"{", b'{"a":1,}', b"nope", rb'"\ud83d"'])
def test_malformed_json_has_no_canonical_form(broken):
    """What cannot be read is an error of msgspec."""
    with pytest.raises(msgspec.MsgspecError):
        canonical_json(broken)
