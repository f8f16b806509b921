"""The texts of an action that policies read, gathered once, within bounds."""

from collections.abc import Iterable
from enum import Enum
from typing import Any, NamedTuple, Protocol

import msgspec

TEXT_BYTES_MAX = 256 * 1024  # of one action together; what is beyond cannot be judged
VALUES_MAX = 50_000  # strings, numbers, lists and objects walked in one action
DEPTH_MAX = 64  # of metadata; deeper nesting hides rather than tells
SEPARATOR = "\x00"  # between two strings of a source: neither a space nor part of a word
# Numbers as long as a card or account number are read as text.
DIGITS_FROM, DIGITS_TO = 10**7, 10**19
_JSON_STARTS = ("{", "[", '"')


class TextSource(Enum):
    """Where in an action a text stands."""

    INPUT = "input"
    TOOLS = "tools"
    TOOL_INPUT = "toolOutputs[].input"
    TOOL_OUTPUT = "toolOutputs[].output"
    METADATA = "metadata"
    HISTORY = "conversationHistory"
    OWN_HISTORY = "conversationHistory of assistant and system"
    OUTPUT = "output"


# What reaches the model or the tool, and what came out of them.
INPUT_SIDE = frozenset({
    TextSource.INPUT, TextSource.TOOLS, TextSource.TOOL_INPUT, TextSource.METADATA, TextSource.HISTORY,
})  # fmt: skip
OUTPUT_SIDE = frozenset({TextSource.TOOL_OUTPUT, TextSource.OUTPUT})
OWN_ROLES = frozenset({"assistant", "system"})  # their turns instruct by right


class Text(NamedTuple):
    """All strings of one source, joined by SEPARATOR."""

    source: TextSource
    text: str


class Texts(NamedTuple):
    """What was gathered. `complete` is False where a bound cut it; `longest_list` counts items of any list within."""

    items: tuple[Text, ...]
    size_bytes: int
    values: int
    longest_list: int
    complete: bool


class Readable(Protocol):
    """What texts are gathered from."""

    @property
    def input(self) -> Any:
        """What the agent is about to do, or was asked."""

    @property
    def output(self) -> Any:
        """What came of it; None before it ran."""

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools it names."""

    @property
    def metadata(self) -> dict[str, Any]:
        """The caller's own; adapters put the full arguments here."""

    @property
    def conversation_history(self) -> tuple[Any, ...]:
        """Turns with `role` and `content`."""

    @property
    def tool_outputs(self) -> tuple[Any, ...]:
        """Items with `name`, `input` and `output`."""


def texts_of(action: Readable) -> Texts:
    """Every text of an action, at most 256 kB in all; the parts most likely read by a model come first."""
    walk = _Walk()
    walk.take(TextSource.INPUT, action.input)
    if action.output is not None:
        walk.take(TextSource.OUTPUT, action.output)
    outputs = [item for item in action.tool_outputs if isinstance(item, dict)]
    if outputs:
        walk.take(TextSource.TOOL_OUTPUT, [item.get("output") for item in outputs])
    if action.tools:
        walk.take(TextSource.TOOLS, action.tools)
    if action.metadata:
        walk.take(TextSource.METADATA, action.metadata)
    if outputs:
        walk.take(TextSource.TOOL_INPUT, [[item.get("name"), item.get("input")] for item in outputs])
    if action.conversation_history or len(outputs) < len(action.tool_outputs):
        _take_history(walk, action)
    return Texts(tuple(walk.items), walk.size_bytes, walk.values, walk.longest_list, walk.complete)


def _take_history(walk: "_Walk", action: Readable) -> None:
    """The turns, and whatever else is not of the form it should have."""
    turns = [turn for turn in action.conversation_history if isinstance(turn, dict)]
    odd = [item for item in (*action.tool_outputs, *action.conversation_history) if not isinstance(item, dict)]
    walk.take(TextSource.HISTORY, [odd, *(turn for turn in turns if not _is_own(turn))])
    walk.take(TextSource.OWN_HISTORY, [turn for turn in turns if _is_own(turn)])


def _is_own(turn: dict[str, Any]) -> bool:
    role = turn.get("role")
    return isinstance(role, str) and role in OWN_ROLES


class _Walk:
    """Goes through values without recursion and stops at every bound."""

    def __init__(self) -> None:
        self.items: list[Text] = []
        self.size_bytes = 0
        self.values = 0
        self.longest_list = 0
        self.complete = True

    def take(self, source: TextSource, value: Any) -> None:
        """Add what a source says, as far as there is room."""
        text = value if isinstance(value, str) and not _is_coded(value) else self._strings(value)
        if not text:
            return
        room = TEXT_BYTES_MAX - self.size_bytes
        size = _bytes_of(text)
        if size > room:
            self.complete = False
            text = text.encode("utf-8", "surrogatepass")[:room].decode("utf-8", "ignore")
            size = room
        self.size_bytes += size
        if text:
            self.items.append(Text(source, text))

    def _strings(self, value: Any) -> str:
        """Every string, key and long number in the order of the document, joined."""
        room = TEXT_BYTES_MAX - self.size_bytes
        found: list[str] = []
        waiting: list[tuple[int, Any]] = [(0, value)]
        while waiting:
            depth, value = waiting.pop()
            self.values += 1
            if self.values > VALUES_MAX or depth > DEPTH_MAX or room < 0:
                self.complete = False
                break
            if isinstance(value, str):
                found.append(value)
                room -= len(value)  # its bytes are at least as many: once there is no room, the rest would be cut
                if _is_coded(value):
                    waiting.extend((depth + 1, inner) for inner in _decoded(value))
            elif isinstance(value, dict):
                self.longest_list = max(self.longest_list, len(value))
                for key in reversed(value):
                    waiting.append((depth + 1, value[key]))
                    waiting.append((depth + 1, key))
            elif isinstance(value, list | tuple):
                self.longest_list = max(self.longest_list, len(value))
                waiting.extend((depth + 1, part) for part in reversed(value))
            elif isinstance(value, int) and DIGITS_FROM <= value < DIGITS_TO:
                found.append(str(value))
        return SEPARATOR.join(found)


def _is_coded(text: str) -> bool:
    """True for JSON inside a string whose escapes hide what it says: adapters seal arguments that way."""
    return text.startswith(_JSON_STARTS) and "\\" in text


def _decoded(text: str) -> Iterable[Any]:
    try:
        return (msgspec.json.decode(text),)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return ()


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
