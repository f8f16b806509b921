import re

# A whole string, or one bracket. Possessive, so that no input makes it go back.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_MEMBERS, _ELEMENTS = 1, 2  # the depth of the body's members, and of what is in `traces`


def split_items(body: bytes) -> list[bytes]:
    """The objects in `traces` of a body too deeply nested for the decoder, without descending into them.

    One item nested a thousand levels deep must not fail the ones beside it; each is decoded by itself afterwards.
    """
    items: list[bytes] = []
    depth, start, inside, last_text = 0, 0, False, b""
    for token in _TOKENS.finditer(body):
        match token[0]:
            case b"[" | b"{" as bracket:
                if depth == _MEMBERS and bracket == b"[" and last_text == b'"traces"':
                    inside = True
                if depth == _ELEMENTS and inside:
                    start = token.start()
                depth += 1
            case b"]" | b"}":
                depth -= 1
                if depth == _ELEMENTS and inside:
                    items.append(body[start : token.end()])
                inside = inside and depth > _MEMBERS
            case text:
                last_text = text if depth == _MEMBERS else last_text
    return items
