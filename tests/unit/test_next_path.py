"""After signing in one stays here: what a link may name as the next page."""

import pytest

from execlave_server.web.next_path import NEXT_CHARS_MAX, safe_next


@pytest.mark.parametrize(
    "path", ["/", "/traces", "/traces?status=error&from=2026-01-01", "/traces/a%20b", "/a//b", "/traces/ä?q=x#y"]
)
def test_a_path_of_ours_is_kept(path):
    """A path of this origin, with its query, is where one goes."""
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None, "", "traces", "https://evil.example", "//evil.example", "///evil.example", "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " /traces", "/traces\r\nSet-Cookie: a=b", "/a\\b",
        "/a\x00b",
        "javascript:alert(1)", "http:/evil", "/a b", "/\u2028x", "/" + "a" * NEXT_CHARS_MAX, "@evil.example", "/\x7f",
    ],
)  # fmt: skip
def test_everything_else_is_home(path):
    """Another origin, another scheme, and whatever a browser might read as one, leads home."""
    assert safe_next(path) == "/"
