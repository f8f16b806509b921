"""Names with `*` for any characters, matched in linear time."""

from collections.abc import Iterable
from functools import lru_cache

PATTERNS_KEPT = 8_192  # as many as checks are


class NamePatterns:
    """A set of names and wildcards. Case counts, as it does in tool names."""

    __slots__ = ("_prefixes", "_wild", "exact")

    def __init__(self, patterns: Iterable[str]) -> None:
        given = tuple(patterns)
        wild = [pattern.split("*") for pattern in given if "*" in pattern]
        self.exact = frozenset(pattern for pattern in given if "*" not in pattern)
        self._prefixes = tuple(head for head, *rest in wild if rest == [""])
        self._wild = tuple((parts, "*".join(parts)) for parts in wild if parts[1:] != [""])

    @property
    def has_wildcards(self) -> bool:
        """False when `exact` holds all there is."""
        return bool(self._prefixes or self._wild)

    def __contains__(self, name: str) -> bool:
        if name in self.exact or (self._prefixes and name.startswith(self._prefixes)):
            return True
        return bool(self._wild) and any(_fits(name, parts) for parts, _ in self._wild)

    def any_of(self, names: Iterable[str]) -> bool:
        """True when one of the names matches."""
        for name in names:  # noqa: SIM110 - a generator takes three times as long, and this runs for every policy
            if name in self:
                return True
        return False

    def count_in(self, names: Iterable[str]) -> int:
        """How many of the names match."""
        count = 0
        for name in names:
            if name in self:
                count += 1
        return count

    def matching(self, name: str) -> str | None:
        """The pattern that a name matches, as it was written."""
        if name in self.exact:
            return name
        heads = (f"{head}*" for head in self._prefixes if name.startswith(head))
        return next(heads, next((pattern for parts, pattern in self._wild if _fits(name, parts)), None))


@lru_cache(PATTERNS_KEPT)
def remembered_patterns(patterns: tuple[str, ...]) -> NamePatterns:
    """The same for the same names: policies are compiled anew whenever one of them changes."""
    return NamePatterns(patterns)


def _fits(name: str, parts: list[str]) -> bool:
    """True when the parts occur in this order, the first at the start and the last at the end."""
    first, *middle, last = parts
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
