from typing import NoReturn


class Secret:
    """A text that does not print, compare, pickle or encode; `.reveal()` stands on the line that uses it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Keep the result on the line that needs it."""
        return self._text

    @property
    def last_four(self) -> str:
        """What may be shown of it; nothing of a text too short to keep the rest unguessable."""
        return self._text[-4:] if len(self._text) >= 8 else ""  # noqa: PLR2004 - half at the most

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled")
