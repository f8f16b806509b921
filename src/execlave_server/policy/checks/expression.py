import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import re2  # type: ignore[import-untyped, unused-ignore]

from execlave_server.model.policy_rules import ExpressionRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import BadRuleError, Breach, CannotEvaluateError, Check
from execlave_server.policy.scan_expression import (
    LARGE_NAMES,
    OWN_MATCHES,
    RefusedExpressionError,
    Scan,
    scan_expression,
)

if TYPE_CHECKING:
    import cel

LIST_ITEMS_MAX = 1_000  # of any list an expression may go through
WORK_MAX = 300_000_000  # steps times bytes: at most about a second, mostly far less
VALUE_BYTES = 16  # what a number or a bracket counts beside the texts
PATTERNS_KEPT = 256
PATTERN_MEMORY_BYTES = 1 << 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EMPTY_ACTION = Action("", "")
_NO_FACTS = Facts(now_us=0)


def expression(rule: ExpressionRule) -> Check:
    """A CEL expression that is true where the policy is violated. Raises BadRuleError; see scan_expression."""
    engine = _engine()
    scan, program = _compile(engine, rule.expression)
    _check_kind(engine, scan, program)
    breach = Breach(
        "expression.true",
        rule.message or "The expression of this policy holds",
        "The policy's owner can say what its expression asks for.",
    )

    def check(action: Action, facts: Facts) -> Breach | None:
        _check_size(scan, action)
        verdict = _run(engine, program, {name: CONTEXT[name](action, facts) for name in scan.names})
        if not isinstance(verdict, bool):
            raise CannotEvaluateError("the expression is neither true nor false")
        return breach if verdict else None

    return check


def _engine() -> Any:
    try:
        import cel  # noqa: PLC0415 - an optional extra that also loads a command line; only who has expressions pays
    except ImportError as error:
        raise BadRuleError(
            "expression", "needs CEL, which is not installed here: pip install 'execlave-server[expressions]'"
        ) from error
    return cel


def _compile(engine: Any, source: str) -> "tuple[Scan, cel.Program]":
    try:
        scan = scan_expression(source)
        program = engine.compile(scan.source)
    except RefusedExpressionError as error:
        raise BadRuleError("expression", str(error)) from error
    except ValueError as error:
        raise BadRuleError("expression", f"is not CEL: {_first_line(error)}") from error
    unseen = set(program.variables()) - scan.names - scan.variables
    if unseen:
        raise BadRuleError("expression", f"uses {min(unseen)}, which is not known")
    return scan, program


def _check_kind(engine: Any, scan: Scan, program: "cel.Program") -> None:
    """Tried on an empty action: what ends in an error there may do well on another, a number never will."""
    try:
        verdict = _run(engine, program, {name: CONTEXT[name](_EMPTY_ACTION, _NO_FACTS) for name in scan.names})
    except CannotEvaluateError:
        return
    if not isinstance(verdict, bool):
        raise BadRuleError("expression", "must be true or false; this one is neither")


def _first_line(error: ValueError) -> str:
    _, _, reason = str(error).partition("ERROR: <input>:")
    return (reason or str(error)).splitlines()[0][:200]


def _check_size(scan: Scan, action: Action) -> None:
    """Refuse what would take too long before it starts. Raises CannotEvaluateError."""
    if not scan.names & LARGE_NAMES:
        return
    texts = action.texts
    if not texts.complete:
        raise CannotEvaluateError("the action is too large for an expression")
    if texts.longest_list > LIST_ITEMS_MAX:
        raise CannotEvaluateError(f"the action has a list of more than {LIST_ITEMS_MAX:,} items")
    size = texts.size_bytes + VALUE_BYTES * texts.values
    if (scan.steps + scan.wide_steps * texts.longest_list) * scan.mentions * size > WORK_MAX:
        raise CannotEvaluateError("the action is too large for this expression")


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# What an expression may name; what is absent is empty, never null.
CONTEXT: dict[str, Callable[[Action, Facts], Any]] = {
    "input": lambda action, _: _as_text(action.input),
    "output": lambda action, _: _as_text(action.output),
    "agentId": lambda action, _: action.agent_id,
    "agentName": lambda action, _: action.agent_name or "",
    "environment": lambda action, _: action.environment or "",
    "tools": lambda action, _: list(action.tools),
    "metadata": lambda action, _: action.metadata,
    "cost": lambda action, _: action.cost_usd,
    "orgId": lambda action, _: action.organization_id,
    "now": lambda _, facts: _EPOCH + timedelta(microseconds=facts.now_us),
    "phase": lambda action, _: str(action.phase),
}


def _run(engine: Any, program: "cel.Program", values: dict[str, Any]) -> Any:
    try:
        if OWN_MATCHES in program.source:
            return program.execute(engine.Context(values, {OWN_MATCHES: _matches}))
        return program.execute(values)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the engine is no Exception
        raise CannotEvaluateError("the expression ended in an error") from error


def _matches(text: str, pattern: str) -> bool:
    return _pattern(pattern).search(text) is not None


@lru_cache(PATTERNS_KEPT)
def _pattern(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES
    options.log_errors = False
    return re2.compile(pattern, options)
