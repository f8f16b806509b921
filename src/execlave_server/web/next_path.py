"""Where to go after signing in: a path of this server, and nothing else that a link may have put there."""

import re

NEXT_CHARS_MAX = 2_000  # a search's address fits; beyond, nobody typed it
_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")  # one slash, no backslash, no control character, no blank
HOME = "/"


def safe_next(path: str | None) -> str:
    """The path, if it stays on this origin; else the home page."""
    if path and len(path) <= NEXT_CHARS_MAX and path.isprintable() and _PATH.fullmatch(path):
        return path
    return HOME
