import copy
import json
import logging
import pickle

import msgspec
import pytest

from execlave_server.model.secret import Secret

TEXT = "0123456789abcdef0123456789abcdef"


def test_reveal_returns_the_text():
    """The text comes out where it is asked for by name."""
    assert Secret(TEXT).reveal() == TEXT


@pytest.mark.parametrize("shown", [str, repr, "{}".format, "{!r}".format, lambda secret: f"{secret}", "%s".__mod__])
def test_nothing_prints_it(shown):
    """However a secret is turned into text, the text does not hold it."""
    assert shown(Secret(TEXT)) == "Secret(...)"
    assert TEXT not in shown([Secret(TEXT)]) + shown({"key": Secret(TEXT)})


def test_a_log_record_does_not_hold_it(caplog):
    """A secret passed to a logger leaves only its name there."""
    logging.getLogger("test").warning("key %s, %r", Secret(TEXT), Secret(TEXT))

    assert caplog.messages == ["key Secret(...), Secret(...)"]


@pytest.mark.parametrize(
    "encode",
    [
        *(lambda secret, protocol=protocol: pickle.dumps(secret, protocol) for protocol in range(6)),
        copy.copy,
        copy.deepcopy,
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
        vars,
    ],
)
def test_nothing_encodes_it(encode):
    """No encoder, copier or pickler takes a secret, alone or inside something else."""
    with pytest.raises(TypeError):
        encode(Secret(TEXT))


def test_it_does_not_compare():
    """Two secrets of one text are not equal, so that no comparison can be used to guess."""
    assert Secret(TEXT) != Secret(TEXT)
    assert Secret(TEXT) != TEXT


def test_it_has_no_other_attributes():
    """Nothing can be hung on a secret that might print it later."""
    with pytest.raises(AttributeError):
        Secret(TEXT).note = TEXT


@pytest.mark.parametrize(
    ("text", "shown"), [(TEXT, "cdef"), ("12345678", "5678"), ("1234567", ""), ("abcd", ""), ("", "")]
)
def test_only_a_long_secret_shows_its_end(text, shown):
    """The last four characters may be shown where at least as many stay unknown."""
    assert Secret(text).last_four == shown
