"""The pure part of asking the customer's endpoint: what is sent, and how its answer is judged."""

from typing import Any

import msgspec
from msgspec import Struct

from execlave_server.model.policies import EnforcementMode
from execlave_server.policy.action import Action, Facts, ValidatorDecision
from execlave_server.policy.breaches import Breach, CannotEvaluateError, Check

ANSWER_BYTES_MAX = 64 * 1024  # an answer is one word and a reason
STATUS_OK = 200


class Question(Struct, frozen=True, rename="camel"):
    """The body that the endpoint is sent. `timestamp` is ISO 8601 in UTC."""

    organization_id: str
    agent_id: str
    agent_name: str | None
    environment: str | None
    input: Any
    tools: tuple[str, ...]
    metadata: dict[str, Any]
    estimated_cost: float | None
    timestamp: str


class _Answer(Struct):
    decision: ValidatorDecision


def question_of(action: Action, timestamp: str) -> bytes:
    """The body to sign and send."""
    return msgspec.json.encode(
        Question(
            organization_id=action.organization_id,
            agent_id=action.agent_id,
            agent_name=action.agent_name,
            environment=action.environment,
            input=action.input,
            tools=action.tools,
            metadata=action.metadata,
            estimated_cost=action.estimated_cost,
            timestamp=timestamp,
        )
    )


def judge_answer(status: int, body: bytes) -> ValidatorDecision:
    """One of the three decisions. Raises CannotEvaluateError for anything but a 200 that says one."""
    if status != STATUS_OK:
        raise CannotEvaluateError(f"the validator answered {status}")
    if len(body) > ANSWER_BYTES_MAX:
        raise CannotEvaluateError(f"the validator's answer has more than {ANSWER_BYTES_MAX:,} bytes")
    try:
        return msgspec.json.decode(body, type=_Answer).decision
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CannotEvaluateError(
            "the validator's answer has no decision that is allow, deny or require_approval"
        ) from error


def custom_validator(policy_id: str) -> Check:
    """What the endpoint decided. A deny counts as the policy's mode, require_approval as that at most."""

    def check(action: Action, facts: Facts) -> Breach | None:  # noqa: ARG001 - the endpoint saw the action
        match facts.validator_answers.get(policy_id):
            case None:
                raise CannotEvaluateError("the validator did not answer")
            case ValidatorDecision.ALLOW:
                return None
            case ValidatorDecision.DENY:
                return _DENIED
            case ValidatorDecision.REQUIRE_APPROVAL:
                return _APPROVAL

    return check


_DENIED = Breach(
    "custom_validator.denied",
    "The validator denied this action",
    "The owner of the validator knows why; the decision is in its records.",
)
_APPROVAL = Breach(
    "custom_validator.require_approval",
    "The validator asks for a person's approval",
    "Wait for the approval.",
    "medium",
    retryable=True,
    mode_max=EnforcementMode.REQUIRE_APPROVAL,
)
