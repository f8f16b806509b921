"""How much is at stake in an action that waits for a person: 0 to 100, from its tools, its data and its policies."""

import re
from collections.abc import Iterable, Sequence

from execlave_server.model.policies import PolicyType
from execlave_server.model.verdicts import PolicyViolation

RISK_MAX = 100  # what the largest parts below come to

_DESTROYS_OR_PAYS = frozenset({
    *("delete", "drop", "remove", "destroy", "wipe", "truncate", "purge", "kill", "terminate", "shutdown"),
    *("pay", "payment", "transfer", "wire", "refund", "charge", "withdraw", "buy", "sell", "order"),
    *("exec", "execute", "run", "shell", "bash", "eval", "sudo", "deploy", "grant", "revoke"),
})  # fmt: skip
_WRITES_OR_SENDS = frozenset({
    *("send", "post", "publish", "email", "mail", "upload", "share", "export", "forward", "reply"),
    *("write", "create", "update", "insert", "modify", "edit", "set", "put", "add", "move", "rename"),
})  # fmt: skip
_READS = frozenset({"read", "get", "list", "search", "find", "fetch", "query", "view", "lookup", "describe", "count"})
_TOOL_MAX, _TOOL_WRITES, _TOOL_UNKNOWN, _TOOL_READS = 40, 25, 15, 5
_NO_TOOL = 5

_ENVIRONMENTS = {"development": 0, "test": 0, "staging": 5}
_ENVIRONMENT_MAX = 10  # production, and any name we do not know
_PERSONAL_OR_BULK_DATA = frozenset({PolicyType.PII_ACCESS, PolicyType.DATA_RESTRICTION})
_DATA_MAX = 10

_TYPES = {
    PolicyType.INJECTION_SCAN: 20,
    PolicyType.TOOL_OUTPUT_SCAN: 20,
    PolicyType.TOOL_INTEGRITY: 20,
    PolicyType.PII_ACCESS: 15,
    PolicyType.DATA_RESTRICTION: 15,
    PolicyType.ACCESS_CONTROL: 15,
}
_OTHER_TYPE = 10
_SEVERITIES = {"critical": 20, "high": 15, "medium": 8, "low": 3}
_OTHER_SEVERITY = 15  # a word we do not know counts as high

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def score_risk(tools: Iterable[str], environment: str | None, violations: Sequence[PolicyViolation]) -> int:
    """The sum of what the riskiest tool, the data, the gravest policy type and the gravest rule each add.

    Another tool or another violation never makes it less.
    """
    types = {violation.policy_type for violation in violations}
    return (
        max(map(_sensitivity, tools), default=_NO_TOOL)
        + _ENVIRONMENTS.get((environment or "").lower(), _ENVIRONMENT_MAX)
        + (_DATA_MAX if types & _PERSONAL_OR_BULK_DATA else 0)
        + max((_TYPES.get(kind, _OTHER_TYPE) for kind in types), default=0)
        + max((_SEVERITIES.get(violation.severity, _OTHER_SEVERITY) for violation in violations), default=0)
    )


def _sensitivity(tool: str) -> int:
    words = {word.lower() for word in _WORD.findall(tool)}
    if words & _DESTROYS_OR_PAYS:
        return _TOOL_MAX
    if words & _WRITES_OR_SENDS:
        return _TOOL_WRITES
    return _TOOL_READS if words & _READS else _TOOL_UNKNOWN
