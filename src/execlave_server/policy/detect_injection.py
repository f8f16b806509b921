"""Finds text that tries to give a model orders: patterns on a linear-time engine, over every reading of the text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import re2

from execlave_server.policy.injection.abroad import ABROAD_RULES
from execlave_server.policy.injection.abroad_acts import ABROAD_ACT_RULES
from execlave_server.policy.injection.acts import ACT_RULES
from execlave_server.policy.injection.disguises import Form, fold_pattern, read_views
from execlave_server.policy.injection.mentions import is_mention
from execlave_server.policy.injection.orders import ORDER_RULES
from execlave_server.policy.injection.rules import Rule, Severity

PATTERNS_MAX = 200  # of a policy
PATTERN_CHARS_MAX = 1_000
PROGRAM_SIZE_MAX = 250_000  # of a policy's patterns together; the engine's worst time is this times the text's length
AUTOMATON_BYTES_MAX = 4 << 20  # of one pattern

_SIGNS = r"\s\"'`*_~,;:()\[\]{}<>|/\\#+=&^%$-"  # what may stand between two words of one phrase
_BLANK, _WORD = f"[{_SIGNS}]+", f"[^{_SIGNS}]*[^{_SIGNS}.?!]"
_COMPACT_WORD_CHARS = 8
_TOKENS = re.compile(r"\\.\+?|\[(?:\\.|[^\]\\])*\]|<(?P<gap>\d+)> ?| \??|l")
_SENTINEL = "\x00sentinel"  # a pass that does not find this at a text's end ran out of memory and found nothing at all


class Finding(NamedTuple):
    """The characters from `start` up to `end` of the text are what the rule describes."""

    rule_id: str
    start: int
    end: int
    severity: Severity


class Matcher:
    """Many patterns: one pass looks for the words that each cannot do without, then those that may match are run."""

    def __init__(self, patterns: Sequence[tuple[Rule, str]]) -> None:
        self.rules = [rule for rule, _ in patterns]
        self.regexes = [_compile(pattern) for _, pattern in patterns]
        self._filter: re2.Filter | None = re2.Filter()
        for _, pattern in patterns:
            self._filter.Add(pattern, _options())
        self._sentinel = self._filter.Add(_SENTINEL, _options())
        try:
            self._filter.Compile()
        except re2.error:  # more words than one pass can look for; asking this filter would end the process
            self._filter = None

    def candidates(self, text: str) -> list[int]:
        """The numbers of the patterns that may match, ascending; all of them where that pass failed."""
        found = set(self._filter.Match(text + _SENTINEL, potential=True) or ()) if self._filter else ()
        if self._sentinel not in found:
            return list(range(len(self.regexes)))
        return sorted(number for number in found if number != self._sentinel)


@dataclass(frozen=True, slots=True)
class CompiledPatterns:
    """Rules ready to scan with, safe to share among threads. Compiling ours takes 0.2 s, once."""

    rules: tuple[Rule, ...]
    matchers: Mapping[Form, Matcher]
    spares_mentions: bool


def compile_patterns(patterns: Sequence[str]) -> CompiledPatterns:
    """A policy's own patterns, in RE2's syntax, without regard to case; rule ids are `pattern_1`, `pattern_2` ...

    ValueError says which one is wrong, and where, or which limit it breaks.
    """
    if len(patterns) > PATTERNS_MAX:
        raise ValueError(f"{len(patterns)} patterns are too many: at most {PATTERNS_MAX} fit into one policy")
    rules: list[Rule] = []
    program_size = 0
    for number, pattern in enumerate(patterns, start=1):
        if not pattern.strip():
            raise ValueError(f"pattern {number} is empty, so it would match every text")
        if len(pattern) > PATTERN_CHARS_MAX:
            raise ValueError(f"pattern {number} has {len(pattern)} characters: at most {PATTERN_CHARS_MAX} are allowed")
        try:
            regex = _compile(pattern)
        except UnicodeEncodeError as error:
            raise ValueError(f"pattern {number} holds half a character at {error.start + 1}") from error
        except re2.error as error:
            raise ValueError(f"pattern {number} is wrong{_explain(pattern, error.args[0])}") from error
        if regex.search(""):
            raise ValueError(f"pattern {number} matches the empty text, so it would match every text")
        program_size += regex.programsize
        if program_size > PROGRAM_SIZE_MAX:
            raise ValueError(f"pattern {number} and those before it are too large together: shorten their repeats")
        rules.append(Rule(f"pattern_{number}", Severity.HIGH, "A pattern of the policy.", (pattern,)))
    matcher = Matcher([(rule, rule.patterns[0]) for rule in rules])
    return CompiledPatterns(tuple(rules), {Form.LITERAL: matcher, Form.WORDS: matcher}, spares_mentions=False)


def find_injection(text: str, patterns: CompiledPatterns) -> list[Finding]:
    """The first finding of each rule, by its place in the text. Time is linear in the text's length."""
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate has no UTF-8; it becomes one `?`
    found: dict[str, Finding] = {}
    for view in read_views(text):
        if (matcher := patterns.matchers.get(view.form)) is None:
            continue
        for number in matcher.candidates(view.text):
            rule = matcher.rules[number]
            if rule.id in found:
                continue
            for match in matcher.regexes[number].finditer(view.text):
                if patterns.spares_mentions and is_mention(view.words, *view.locate_in_words(*match.span())):
                    continue
                found[rule.id] = Finding(rule.id, *view.locate(*match.span()), rule.severity)
                break
    return sorted(found.values(), key=lambda finding: finding.start)


def _compile_ours(rules: Sequence[Rule]) -> CompiledPatterns:
    words = [(rule, _words_pattern(pattern)) for rule in rules for pattern in rule.patterns]
    compact = [(rule, _compact_pattern(pattern)) for rule in rules if rule.compact for pattern in rule.patterns]
    matchers = {Form.WORDS: Matcher(words), Form.COMPACT: Matcher(compact)}
    return CompiledPatterns(tuple(rules), matchers, spares_mentions=True)


def _words_pattern(pattern: str) -> str:
    """The pattern for folded text: blanks and gaps spelled out, letters folded as the text's are."""

    def spell(token: re.Match[str]) -> str:
        if gap := token["gap"]:
            return f"(?:{_WORD}{_BLANK}){{0,{gap}}}"
        return {" ": _BLANK, " ?": f"(?:{_BLANK})?"}.get(token[0], token[0])

    return fold_pattern(_TOKENS.sub(spell, pattern))


def _compact_pattern(pattern: str) -> str:
    """The pattern for compact text, which has no blanks and no word boundaries, and `i` for every `l`."""

    def spell(token: re.Match[str]) -> str:
        if gap := token["gap"]:
            return f"[a-z]{{0,{int(gap) * _COMPACT_WORD_CHARS}}}"
        spelled = {" ": "", " ?": "", r"\b": "", r"\S+": "[a-z]{1,12}", r"\w+": "[a-z]{1,12}", "l": "i"}
        return spelled.get(token[0], token[0])

    return _TOKENS.sub(spell, pattern)


def _compile(pattern: str) -> "re2._Regexp":
    return re2._Regexp(pattern, _options())  # noqa: SLF001  re2.compile would keep it in a cache


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = AUTOMATON_BYTES_MAX
    options.case_sensitive = False
    options.log_errors = False  # they are raised; the engine would print them, and with them the pattern
    return options


def _explain(pattern: str, said: bytes) -> str:
    """What the engine said, and where in the pattern the piece it quotes stands."""
    what, _, piece = said.decode("utf-8", "replace").partition(": ")
    at = pattern.find(piece) if piece else -1
    return f" at character {at + 1}: {what}: {piece}" if at >= 0 else f": {what}"


DEFAULT_PATTERNS = _compile_ours((*ORDER_RULES, *ACT_RULES, *ABROAD_RULES, *ABROAD_ACT_RULES))
