"""A stand-in, to be replaced by the detector: a handful of phrases."""

from typing import NamedTuple

import re2  # type: ignore[import-untyped, unused-ignore]


class Finding(NamedTuple):
    """Where a text says what it must not."""

    rule_id: str
    start: int
    end: int
    severity: str


class CompiledPatterns:
    """Patterns ready to search."""

    def __init__(self, patterns: list[str]) -> None:
        options = re2.Options()
        options.log_errors = False
        options.case_sensitive = False
        try:
            self.compiled = [re2.compile(pattern, options) for pattern in patterns]
        except re2.error as error:
            raise ValueError(f"pattern cannot be compiled: {error}") from error


def compile_patterns(patterns: list[str]) -> CompiledPatterns:
    """Raises ValueError with the position of what cannot be compiled."""
    return CompiledPatterns(patterns)


DEFAULT_PATTERNS = compile_patterns([r"ignore (?:all )?previous instructions", r"reveal your system prompt"])


def find_injection(text: str, patterns: CompiledPatterns) -> list[Finding]:
    """Every phrase found."""
    found = ((number, pattern.search(text)) for number, pattern in enumerate(patterns.compiled))
    return [Finding(f"injection.{number}", at.start(), at.end(), "high") for number, at in found if at]
