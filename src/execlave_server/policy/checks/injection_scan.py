from collections.abc import Iterable

from execlave_server.model.policy_rules import InjectionScanRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import BadRuleError, Breach, Check
from execlave_server.policy.detect_injection import (
    DEFAULT_PATTERNS,
    CompiledPatterns,
    Finding,
    compile_patterns,
    find_injection,
)
from execlave_server.policy.texts import INPUT_SIDE, OUTPUT_SIDE, TextSource


def injection_scan(rule: InjectionScanRule) -> Check:
    """Instructions that are not the user's to give, in what goes in and what comes out."""
    sources = (INPUT_SIDE if rule.scan_input else frozenset()) | (OUTPUT_SIDE if rule.scan_output else frozenset())
    patterns = patterns_of(rule.patterns)

    def check(action: Action, facts: Facts) -> Breach | None:  # noqa: ARG001 - the text is all it takes
        found = worst(injections_in(action, sources, patterns))
        if found is None:
            return None
        finding, source = found
        return Breach(
            f"injection_scan.{finding.rule_id}",
            f"A prompt injection was detected in {source.value}",
            "Remove the instructions from the content, or treat its source as untrusted.",
            finding.severity,
        )

    return check


def patterns_of(own: tuple[str, ...]) -> tuple[CompiledPatterns, ...]:
    """The built-in patterns and the policy's own. Raises BadRuleError."""
    if not own:
        return (DEFAULT_PATTERNS,)
    try:
        return DEFAULT_PATTERNS, compile_patterns(list(own))
    except ValueError as error:
        raise BadRuleError("patterns", f"cannot be compiled: {error}") from error


def injections_in(
    action: Action, sources: frozenset[TextSource], patterns: tuple[CompiledPatterns, ...]
) -> list[tuple[Finding, TextSource]]:
    """Every finding, with where it stands."""
    return [
        (finding, text.source)
        for text in action.texts.items
        if text.source in sources
        for compiled in patterns
        for finding in find_injection(text.text, compiled)
    ]


SEVERITIES = ("low", "medium", "high", "critical")


def worst(findings: Iterable[tuple[Finding, TextSource]]) -> tuple[Finding, TextSource] | None:
    """The most severe finding, the first of equals."""
    return max(findings, key=lambda found: SEVERITIES.index(found[0].severity), default=None)
