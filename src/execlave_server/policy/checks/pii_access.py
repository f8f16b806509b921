from typing import NamedTuple

from execlave_server.model.policies import EnforcementMode
from execlave_server.model.policy_rules import PiiAccessRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import BadRuleError, Breach, Check
from execlave_server.policy.detect_pii import PiiKind, find_pii
from execlave_server.policy.texts import TextSource

EVERY_KIND = frozenset(PiiKind)


class PiiFound(NamedTuple):
    """The worst finding of a scan."""

    rule_id: str
    source: TextSource


def pii_access(rule: PiiAccessRule) -> Check:
    """Personal data and credentials of the denied kinds; with `log_access`, any other kind is reported and let go."""
    denied = EVERY_KIND if rule.denied_pii_types is None else kinds_of(rule.denied_pii_types, "denied_pii_types")
    logged = EVERY_KIND - denied if rule.log_access else frozenset()

    def check(action: Action, facts: Facts) -> Breach | None:  # noqa: ARG001 - the text is all it takes
        found = first_pii(action, denied)
        if found is not None:
            return Breach(
                f"pii_access.{found.rule_id}",
                f"Personal data or a credential of a denied kind was found in {found.source.value}",
                "Remove or mask it before the action.",
            )
        found = first_pii(action, logged)
        if found is None:
            return None
        return Breach(
            "pii_access.logged",
            f"Personal data was found in {found.source.value}",
            "Nothing to do: the access is recorded.",
            "low",
            mode_max=EnforcementMode.MONITOR,
        )

    return check


def kinds_of(names: tuple[str, ...], field: str) -> frozenset[PiiKind]:
    """The kinds by their names. Raises BadRuleError that lists them."""
    unknown = [name for name in names if name not in EVERY_KIND]
    if unknown:
        raise BadRuleError(field, f"has {unknown[0]!r}; the kinds are {', '.join(sorted(PiiKind))}")
    return frozenset(PiiKind(name) for name in names)


def first_pii(
    action: Action, kinds: frozenset[PiiKind], sources: frozenset[TextSource] = frozenset(TextSource)
) -> PiiFound | None:
    """The first finding of these kinds, in the order of the sources."""
    if not kinds:
        return None
    for source, text in action.texts.items:
        if source in sources:
            for finding in find_pii(text, kinds):
                return PiiFound(finding.rule_id, source)
    return None
