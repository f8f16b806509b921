from execlave_server.model.policy_rules import ToolOutputScanRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import Breach, Check
from execlave_server.policy.checks.injection_scan import injections_in, patterns_of, worst
from execlave_server.policy.checks.pii_access import first_pii, kinds_of
from execlave_server.policy.texts import OUTPUT_SIDE


def tool_output_scan(rule: ToolOutputScanRule) -> Check:
    """What tools returned, before the model reads it."""
    patterns = patterns_of(rule.patterns)
    denied = kinds_of(rule.denied_pii_types, "denied_pii_types")

    def check(action: Action, facts: Facts) -> Breach | None:  # noqa: ARG001 - the text is all it takes
        injected = worst(injections_in(action, OUTPUT_SIDE, patterns))
        if injected is not None:
            finding, source = injected
            return Breach(
                f"tool_output_scan.{finding.rule_id}",
                f"A prompt injection was detected in {source.value}",
                "Do not give this output to the model.",
                finding.severity,
            )
        found = first_pii(action, denied, OUTPUT_SIDE)
        if found is None:
            return None
        return Breach(
            f"tool_output_scan.{found.rule_id}",
            f"Personal data or a credential of a denied kind was found in {found.source.value}",
            "Mask it before the model reads it.",
        )

    return check
