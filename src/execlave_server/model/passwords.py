"""Which passwords are too obvious: what a guesser tries first, whatever digits stand behind it. Pure."""

import unicodedata

DISTINCT_CHARS_MIN = 5  # "aaaaaaaaaaaa" and "121212121212" are one guess each
_WORD_CHARS_MIN = 3  # of a name or email; a shorter one is in half of all words
_WORDS = frozenset({
    "password", "passwort", "passw0rd", "p@ssword", "p@ssw0rd", "kennwort", "contraseña", "motdepasse", "parola",
    "qwerty", "qwertyuiop", "qwertz", "qwertzuiop", "azerty", "azertyuiop", "asdfgh", "asdfghjkl", "zxcvbnm", "letmein",
    "welcome", "willkommen", "admin", "administrator", "root", "login", "changeme", "default", "secret", "iloveyou",
    "dragon", "monkey", "football", "baseball", "sunshine", "princess", "superman", "trustno", "abc", "abcdef",
    "abcdefgh", "abcdefghijkl", "test", "tester", "testing", "demo", "temp", "temporary", "execlave", "datadog",
})  # fmt: skip
_KEYBOARD = ("01234567890123456789", "98765432109876543210", "qwertyuiopasdfghjklzxcvbnm", "abcdefghijklmnopqrstuvwxyz")


def is_obvious(password: str, *own: str) -> bool:
    """True for a common word, a run of keys or one's own name or email, alone or repeated, with digits or marks."""
    text = unicodedata.normalize("NFKC", password).casefold()
    if len(set(text)) < DISTINCT_CHARS_MIN or any(text in row + row for row in _KEYBOARD):
        return True
    words = {word for word in _WORDS | _words_of(own) if len(word) >= _WORD_CHARS_MIN}
    left = "".join(char for char in text if char.isalpha() or char == "@")
    if not left:
        return any(_digits(text) in row + row for row in _KEYBOARD)
    return _is_made_of(left, words) or _is_made_of(text.strip("0123456789!?.#$-_*"), words)


def _words_of(own: tuple[str, ...]) -> set[str]:
    """The parts of names and emails as a person would repeat them."""
    found = set()
    for each in own:
        local, _, host = each.casefold().partition("@")
        found |= {local, host.partition(".")[0], "".join(char for char in local if char.isalpha())}
        found.update(local.replace(".", " ").replace("-", " ").replace("_", " ").split())
    return found


def _is_made_of(text: str, words: set[str]) -> bool:
    """Whether nothing but these words stands there, one after another."""
    reached = {0}
    for at in range(1, len(text) + 1):
        if any(text[start:at] in words for start in reached):
            reached.add(at)
    return len(text) in reached and len(text) > 0


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())
