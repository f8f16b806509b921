"""The message of a monitor with its variables and conditions filled in.

Source: Datadog's documentation, "Monitor notify variables". Not rendered: `{{eval}}`, `{{local_time}}` and raw blocks.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from execlave_server.datadog.monitors.evaluate_monitor import Change, Why, label_group
from execlave_server.datadog.monitors.monitor_definition import MonitorDefinition, Status
from execlave_server.datadog.monitors.monitor_query import MonitorQuery
from execlave_server.errors import ValidationFailedError

DEPTH_MAX = 20  # blocks within blocks

_TAG = re.compile(r"\{\{\{\s*(?P<raw>[^{}]+?)\s*\}\}\}|\{\{\s*(?P<tag>[^{}]+?)\s*\}\}")
_WORD = re.compile(r"""\[[^\]]*\]|"[^"]*"|'[^']*'|\S+""")
_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")


class MessageTemplateError(ValidationFailedError):
    """A message whose blocks do not match; `position` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1} of the message)", fields={"message": message})
        self.position = position


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What a message may speak of. `log` answers `{{log.*}}` by path; a path it does not know is empty."""

    definition: MonitorDefinition
    query: MonitorQuery
    change: Change
    log: Mapping[str, Any] = field(default_factory=dict)
    last_triggered_at: str = ""


def render_message(template: str, facts: MessageFacts) -> str:
    """The text that is sent. Raises MessageTemplateError for blocks that are not closed, or closed twice."""
    rendering = _Rendering(facts)
    position = 0
    for found in _TAG.finditer(template):
        rendering.write(template[position : found.start()])
        position = found.end()
        tag = found["raw"] or found["tag"]
        if tag[0] in "#^":
            rendering.open(tag, found.start())
        elif tag[0] == "/":
            rendering.close(tag[1:].strip(), found.start())
        elif tag == "else":
            rendering.turn(found.start())
        elif tag[0] != "!":
            text = _variable(tag, facts)
            rendering.write(text if found["raw"] else html.escape(text))
    rendering.write(template[position:])
    return rendering.end()


@dataclass(slots=True)
class _Block:
    name: str
    position: int
    shown: bool


@dataclass(slots=True)
class _Rendering:
    """The text so far, and the blocks that are open."""

    facts: MessageFacts
    texts: list[str] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)

    def write(self, text: str) -> None:
        if all(block.shown for block in self.blocks):
            self.texts.append(text)

    def open(self, tag: str, position: int) -> None:
        name, *arguments = _words(tag[1:]) or [""]
        if len(self.blocks) >= DEPTH_MAX:
            raise MessageTemplateError(f"more than {DEPTH_MAX} blocks within each other", position)
        holds = _condition(name, arguments, self.facts, position)
        self.blocks.append(_Block(name, position, holds is (tag[0] == "#")))

    def close(self, name: str, position: int) -> None:
        if not self.blocks or self.blocks[-1].name != name:
            raise MessageTemplateError(f"{{{{/{name}}}}} closes no block", position)
        self.blocks.pop()

    def turn(self, position: int) -> None:
        if not self.blocks:
            raise MessageTemplateError("{{else}} stands in no block", position)
        self.blocks[-1].shown = not self.blocks[-1].shown

    def end(self) -> str:
        if self.blocks:
            raise MessageTemplateError(f"{{{{#{self.blocks[-1].name}}}}} is not closed", self.blocks[-1].position)
        return "".join(self.texts)


def message_paths(template: str) -> Iterator[str]:
    """Every variable that a message uses, such as `@agent_id.name` or `log.attributes.[execlave.trace_url]`."""
    for found in _TAG.finditer(template):
        tag = found["raw"] or found["tag"]
        if tag[0] not in "#^/!" and tag != "else":
            yield tag


def _words(text: str) -> list[str]:
    return [word[1:-1] if word[0] in "\"'" else word for word in _WORD.findall(text)]


_STATES: Mapping[str, Callable[[Change], bool]] = {
    "is_alert": lambda change: change.after is Status.ALERT,
    "is_warning": lambda change: change.after is Status.WARN,
    "is_no_data": lambda change: change.after is Status.NO_DATA,
    "is_recovery": lambda change: change.notify is Why.RECOVERY,
    "is_alert_recovery": lambda change: (change.before, change.after) == (Status.ALERT, Status.OK),
    "is_warning_recovery": lambda change: (change.before, change.after) == (Status.WARN, Status.OK),
    "is_no_data_recovery": lambda change: change.before is Status.NO_DATA and change.notify is Why.RECOVERY,
    "is_alert_to_warning": lambda change: (change.before, change.after) == (Status.ALERT, Status.WARN),
    "is_warning_to_alert": lambda change: (change.before, change.after) == (Status.WARN, Status.ALERT),
    "is_renotify": lambda change: change.notify is Why.RENOTIFY,
    "is_unknown": lambda _change: False,
}


def _condition(name: str, arguments: Sequence[str], facts: MessageFacts, position: int) -> bool:
    if name in _STATES:
        return _STATES[name](facts.change)
    if name == "is_priority":
        return arguments[:1] == [f"P{facts.definition.priority}"]
    if name not in {"is_match", "is_exact_match"}:
        known = ", ".join([*_STATES, "is_priority", "is_match", "is_exact_match"])
        raise MessageTemplateError(f"there is no condition {name}; known are {known}", position)
    if len(arguments) < 2:  # noqa: PLR2004 - a variable, and at least one text
        raise MessageTemplateError(
            f'{name} takes a variable and texts, like {{{{#{name} "env.name" "prod"}}}}', position
        )
    variable, *texts = arguments
    value = _variable(variable, facts)
    if name == "is_match":
        return any(text in value for text in texts) if value else False  # an empty text asks whether there is one
    return any(text == value or _same_number(text, value) for text in texts)


def _same_number(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def _variable(path: str, facts: MessageFacts) -> str:
    """The text of a variable; empty where there is nothing by that name, as Datadog renders it."""
    change, thresholds = facts.change, facts.definition.options.thresholds
    built_in: Mapping[str, float | str | None] = {
        "value": change.value,
        "threshold": thresholds.warning if change.after is Status.WARN else thresholds.critical,
        "warn_threshold": thresholds.warning,
        "ok_threshold": thresholds.critical_recovery,
        "comparator": facts.query.comparator.value,
        "last_triggered_at": facts.last_triggered_at,
    }
    if path in built_in:
        return text_of(built_in[path])
    steps = [in_brackets or plain for in_brackets, plain in _STEP.findall(path)]
    if not steps:
        return ""
    if steps[0] == "log":
        return text_of(_walk(facts.log, steps[1:]))
    name = ".".join(steps[:-1]) if len(steps) > 1 and steps[-1] == "name" else ".".join(steps)
    return label_group(facts.query.group_by, change.group).get(name, "")


def _walk(value: Any, steps: Sequence[str]) -> Any:
    """What lies at a path; a step may name several levels at once, or one whose own name has dots."""
    if not steps:
        return value
    if not isinstance(value, Mapping):
        return None
    joined = ".".join(steps)
    if joined in value:
        return value[joined]
    parts = [part for step in steps for part in step.split(".")]
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        if name in value:
            return _walk(value[name], parts[end:])
    return None


def text_of(value: Any) -> str:
    """A value as a message shows it: numbers with at most three decimals, lists by commas."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case list() | tuple():
            return ", ".join(text_of(each) for each in value)
        case _:
            return str(value)
