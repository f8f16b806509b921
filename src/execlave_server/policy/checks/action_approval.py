from execlave_server.model.policy_rules import ActionApprovalRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import Breach, Check
from execlave_server.policy.wildcards import NamePatterns


def action_approval(rule: ActionApprovalRule) -> Check:
    """Actions that a person has to decide. One that names no tool does nothing that could need an approval."""
    tools = NamePatterns(rule.tools)
    least_usd = rule.min_cost

    def check(action: Action, facts: Facts) -> Breach | None:  # noqa: ARG001 - the action is all it takes
        if action.cost_usd >= least_usd and tools.any_of(action.tools):
            return _APPROVAL
        return None

    return check


_APPROVAL = Breach(
    "action_approval.required",
    "This action needs a person's approval",
    "Wait for the approval; it is decided by a signed-in person.",
    "medium",
    retryable=True,
)
