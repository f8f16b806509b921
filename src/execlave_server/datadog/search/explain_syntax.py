"""Why a text is not a search, said for people: what, where, and what to write instead."""

import re

from execlave_server.errors import SearchSyntaxError

_OPERATOR = re.compile(r"(AND|OR|NOT)(?=[\s()\"]|\Z)|&&|\|\|")
_PIECE = re.compile(r'\\[\s\S]|"(?:[^"\\]|\\[\s\S])*+"|[()]|[^\\"()]++|[\\"]')
_SIDES = {"AND": "AND", "&&": "AND", "OR": "OR", "||": "OR"}


def explain_end(text: str) -> SearchSyntaxError:
    """The error of a search that ends too early."""
    open_at = _open_parentheses(text)
    if open_at:
        return SearchSyntaxError("this parenthesis is never closed. Close it with ), or escape it as \\(", open_at[-1])
    last = None
    for last in _OPERATOR.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    if last is None:
        return SearchSyntaxError("the search ends too early. Write what is missing", len(text))
    return SearchSyntaxError(
        f"nothing follows {last[0]}. Write a term behind it, or escape it as \\{last[0]} to search for the word",
        last.start(),
    )


def explain_syntax(text: str, position: int) -> SearchSyntaxError:
    """The error of a search that cannot be read on at a position."""
    operator = _OPERATOR.match(text, position)
    if operator:
        return SearchSyntaxError(_about_operator(operator[0]), position)
    return SearchSyntaxError(_about_character(text, position), position)


def _about_operator(operator: str) -> str:
    if operator == "NOT":
        return "NOT cannot stand here. Put it before a whole term, as in NOT status:ok"
    return (
        f"{operator} has no term on its left. Write one before it, or escape it as \\{operator} to search for the word"
    )


def _about_character(text: str, position: int) -> str:  # noqa: PLR0911 - one answer for each character
    character, following = text[position], text[position + 1 : position + 2]
    match character:
        case '"':
            return 'this quote is never closed. Close it with ", or escape it as \\"'
        case "\\":
            return "nothing follows this backslash. Write the character that it shall make plain, or \\\\ for itself"
        case ")":
            return _about_closing(text, position)
        case "[" | "{":
            return (
                f"{character} begins a range, which stands right behind the colon of an attribute and is closed, as in "
                f"@http.status_code:[400 TO 499]. Escape it as \\{character} to search for it"
            )
        case "]" | "}":
            return f"{character} closes no range. Escape it as \\{character} to search for it"
        case "<" | ">":
            return (
                f"{character} compares the number of an attribute, as in @duration_ms:{character}100. Escape it as "
                f"\\{character} to search for it"
            )
        case ":":
            return _about_colon(text, position, following)
        case "-" | "!":
            if following.strip():
                return (
                    f"a value cannot start with {character}. Escape it as \\{character}, or put it before the name to "
                    "negate the term, as in -@agent_id:x"
                )
            return f"{character} stands right before what it negates, without a blank. Or escape it as \\{character}"
        case _:
            return f"{character!r} cannot stand here. Escape it as \\{character}, or put the value in quotes"


def _about_closing(text: str, position: int) -> str:
    if not _open_parentheses(text[:position]):
        return "this parenthesis closes none. Open it before with (, or escape it as \\)"
    return "a term is missing before this parenthesis. Write one, or leave the parentheses out"


def _about_colon(text: str, position: int, following: str) -> str:
    if not following.strip():
        return "no value follows this colon. Write it right behind, without a blank, as in @agent_id:x"
    if position == 0 or text[position - 1].isspace():
        return "no name stands before this colon. Write it right before, without a blank, as in @agent_id:x"
    return 'a value cannot hold a plain colon. Escape it as \\:, or put the value in quotes, as in @url:"http://x"'


def _open_parentheses(text: str) -> list[int]:
    """Where parentheses open that are not closed."""
    open_at: list[int] = []
    for piece in _PIECE.finditer(text):
        if piece[0] == "(":
            open_at.append(piece.start())
        elif piece[0] == ")" and open_at:
            open_at.pop()
    return open_at
