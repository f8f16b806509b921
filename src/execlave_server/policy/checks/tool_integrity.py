import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from execlave_server.model.policy_rules import ToolIntegrityRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import Breach, CannotEvaluateError, Check

Pins = Mapping[tuple[str, str], str]


def tool_integrity(rule: ToolIntegrityRule) -> Check:
    """Presented tool descriptors against the pinned ones; a pin of the policy wins over the agent's own baseline."""
    own: Pins = {(pin.server, pin.tool): pin.descriptor_hash for pin in rule.pinned}

    def check(action: Action, facts: Facts) -> Breach | None:
        if not action.tool_descriptors and not (rule.require_descriptors and action.tools):
            return None
        pins = {**_baseline(facts), **own} if rule.use_baseline else own
        presented = set()
        for descriptor in action.tool_descriptors:
            server, tool, found = _read(descriptor)
            presented.add(tool)
            pinned = pins.get((server, tool))
            if pinned is None and not rule.allow_unpinned:
                return _UNPINNED
            if pinned is not None and not hmac.compare_digest(pinned.encode(), found.encode()):
                return _CHANGED
        if rule.require_descriptors and not presented.issuperset(action.tools):
            return _MISSING
        return None

    return check


def descriptor_hash(descriptor: Any) -> str:
    """SHA-256 of a tool's canonical JSON as the SDK makes it: sorted keys, no spaces, ASCII."""
    return hashlib.sha256(json.dumps(descriptor, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _baseline(facts: Facts) -> Pins:
    if facts.baseline is None:
        raise CannotEvaluateError("the agent's baseline of tools is not known")
    return facts.baseline


def _read(descriptor: Any) -> tuple[str, str, str]:
    parts = (
        [descriptor.get(key) for key in ("server", "tool", "descriptorHash")] if isinstance(descriptor, dict) else []
    )
    match parts:
        case [str(server), str(tool), str(found)]:
            return server, tool, found
        case _:
            raise CannotEvaluateError("a tool descriptor lacks server, tool or descriptorHash")


_CHANGED = Breach(
    "tool_integrity.changed",
    "A tool differs from the one that was reviewed",
    "Review the tool and pin its new descriptor, or restore the reviewed one.",
    "critical",
)
_UNPINNED = Breach(
    "tool_integrity.unpinned",
    "A tool was never reviewed",
    "Review the tool and pin its descriptor.",
)
_MISSING = Breach(
    "tool_integrity.missing",
    "A tool of this action came without its descriptor",
    "Send tool_descriptors with the action.",
)
