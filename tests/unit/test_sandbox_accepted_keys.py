import pytest

from execlave_server.sandbox.accepted_keys import AcceptedKeys, KeyVerdict, key_id
from execlave_server.sandbox.counters import Counters
from execlave_server.sandbox.limits import KEYS_SEEN_MAX


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        (None, KeyVerdict.MISSING),
        ("", KeyVerdict.MISSING),
        ("a", KeyVerdict.VALID),
        ("A", KeyVerdict.INVALID),
        ("a ", KeyVerdict.INVALID),
        ("\udcff", KeyVerdict.INVALID),
    ],
)
def test_judges_a_key_by_its_exact_text(key, verdict):
    """A key is valid exactly as given; bytes that are no text are just another invalid key."""
    assert AcceptedKeys(["a", "b"]).judge(key) is verdict


def test_replaces_all_keys_at_once():
    """After a replacement the old keys are invalid and the new ones valid."""
    keys = AcceptedKeys(["old"])

    keys.replace(["new", "newer", "new"])

    assert [keys.judge(key) for key in ("old", "new", "newer")] == [
        KeyVerdict.INVALID,
        KeyVerdict.VALID,
        KeyVerdict.VALID,
    ]
    assert len(keys) == 2


def test_a_key_has_one_id_and_it_does_not_show_the_key():
    """The same key always has the same UUID, another key another."""
    assert key_id("secret-key") == key_id("secret-key") != key_id("secret-kez")
    assert "secret" not in key_id("secret-key")


def test_stops_counting_invented_keys():
    """Keys are counted once each, up to a limit that keeps an inventive caller from growing memory."""
    counters = Counters()
    for n in (*range(KEYS_SEEN_MAX - 1), 0, 1, 2):
        counters.saw_key(f"key {n}")

    assert counters.report(0)["distinct_keys"] == KEYS_SEEN_MAX - 1

    counters.saw_key("one more")
    counters.saw_key("one too many")

    assert counters.report(0)["distinct_keys"] == KEYS_SEEN_MAX
