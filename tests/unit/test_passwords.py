"""Passwords that anybody would guess are told from those that nobody would."""

import pytest

from execlave_server.model.passwords import is_obvious


@pytest.mark.parametrize(
    "password",
    [
        "password1234", "Password-123!", "P@ssw0rd!!!!", "aaaaaaaaaaaa", "121212121212", "123456789012",
        "1234567890123", "qwertyuiop12", "qwertyuiopas", "abcdefghijkl", "letmeinletmein", "adminadmin123",
        "execlave2026!", "welcome12345", "ada.lovelace1", "adalovelace!", "lovelace2026", "PASSWORDPASSWORD",
        "changeme-2026",
    ],
)  # fmt: skip
def test_what_a_guesser_tries_first(password):
    """Common words, runs of keys, one's own name: with digits, marks, repeated, in any case."""
    assert is_obvious(password, "ada.lovelace@example.com", "Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "another long password", "x7#kPq9!vLm2", "four unrelated words here",
     "kaffee im grünen haus", "p4ss the salt please", "пароль из четырёх слов"],
)  # fmt: skip
def test_what_nobody_guesses(password):
    """Several words, and what a password manager makes, are fine."""
    assert not is_obvious(password, "ada.lovelace@example.com", "Ada Lovelace")


def test_nothing_of_ones_own_is_needed():
    """Who has no name yet is checked by the words alone; nothing at all is obvious."""
    assert is_obvious("", "", "")
    assert not is_obvious("correct horse battery", "", "@")
