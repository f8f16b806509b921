import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlave_server.sandbox.limits import LOG_BYTES_MAX
from execlave_server.sandbox.truncate_log import cut_strings, truncate_log

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def with_strings_emptied(value: object) -> object:
    """The same JSON with every string value empty: its shape, numbers and names."""
    match value:
        case str():
            return ""
        case list():
            return [with_strings_emptied(item) for item in value]
        case dict():
            return {name: with_strings_emptied(item) for name, item in value.items()}
        case _:
            return value


@given(
    log=st.dictionaries(TEXT, VALUES, max_size=6),
    excess=st.integers(1, 200),
    ascii_only=st.booleans(),
    spaced=st.booleans(),
)
def test_cutting_strings_leaves_json_of_the_same_shape(log, excess, ascii_only, spaced):
    """Any log cut by any amount is JSON with the same names, numbers and shape, and short enough or out of strings."""
    separators = (" , ", " : ") if spaced else (",", ":")
    before = json.dumps(log, ensure_ascii=ascii_only, separators=separators).encode()

    after = cut_strings(before, excess)

    assert with_strings_emptied(json.loads(after)) == with_strings_emptied(log)
    after.decode()
    assert len(before) - len(after) >= excess or json.loads(after) == with_strings_emptied(log)


@given(text=TEXT, excess=st.integers(1, 40), ascii_only=st.booleans())
def test_a_cut_string_is_a_beginning_of_what_it_was(text, excess, ascii_only):
    """A string is cut from its end, never in the middle of a character however it is written."""
    before = json.dumps({"message": text}, ensure_ascii=ascii_only).encode()

    kept = json.loads(cut_strings(before, excess))["message"]

    assert text.startswith(kept)
    kept.encode("utf-8")  # no half of a surrogate pair


def test_cuts_the_longest_strings_first():
    """The longest value gives way first, and the next only when that was not enough."""
    log = b'{"a":"aaaa","bbbbbbbbbbbbbbbb":"bb","c":{"d":["cccccc"]},"n":1.50}'

    assert cut_strings(log, 2) == b'{"a":"aaaa","bbbbbbbbbbbbbbbb":"bb","c":{"d":["cccc"]},"n":1.50}'
    assert cut_strings(log, 7) == b'{"a":"aaa","bbbbbbbbbbbbbbbb":"bb","c":{"d":[""]},"n":1.50}'
    assert cut_strings(log, 99) == b'{"a":"","bbbbbbbbbbbbbbbb":"","c":{"d":[""]},"n":1.50}'


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("letter", ["m", "é", "中", "😀", "\\", "\n", '"'])
def test_truncates_to_just_under_the_limit(letter, ascii_only):
    """A long message loses what is too much of it and no more, whatever it is written in; the rest stays."""
    letters = json.dumps(letter * 1_100_000, ensure_ascii=ascii_only).encode()
    a_letter = len(letters) // 1_100_000

    cut = truncate_log(b'{"service": "api", "message": %b, "n": 1e400}' % letters)

    assert LOG_BYTES_MAX - a_letter < len(cut) <= LOG_BYTES_MAX
    message = json.loads(cut)["message"]
    assert message == letter * len(message)
    assert json.loads(cut) == {"service": "api", "message": message, "n": float("inf")}


def test_leaves_out_the_largest_attributes_when_strings_are_not_enough():
    """A log long for its numbers loses its largest attributes and keeps the small ones."""
    numbers = ",".join(["1234567890"] * 100_000).encode()

    cut = truncate_log(b'{"message":"kept short","service":"api","numbers":[%b],"n":1e400}' % numbers)

    assert cut == b'{"message":"","service":"","n":1e400}'


def test_truncates_a_log_of_many_small_attributes():
    """A log of very many attributes is cut to the limit too."""
    log = {f"attribute_{n}": n for n in range(150_000)}

    cut = json.loads(truncate_log(json.dumps(log).encode()))

    assert len(json.dumps(cut, separators=(",", ":"))) <= LOG_BYTES_MAX
    assert cut.items() <= log.items()
    assert len(cut) > 30_000


def test_leaves_a_log_within_the_limit_alone():
    """A log within the limit comes back as it is."""
    log = b'{ "message" : "short" }'

    assert truncate_log(log) is log
