"""A log's attributes by path, as Datadog sees them: a dotted key and nested objects are the same path."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Attributes: TypeAlias = Mapping[str, Any]
Leaf: TypeAlias = str | int | float | bool


def values_at(attributes: Attributes, path: str) -> Iterator[Any]:
    """What stands at a path; of an array, each element, whether the path ends there or goes on into objects in it.

    Null is nothing. An object is given as it is.
    """
    waiting: list[tuple[Any, int]] = [(attributes, 0)]
    while waiting:
        node, start = waiting.pop()
        if isinstance(node, list | tuple):
            waiting += ((element, start) for element in reversed(node))
        elif start > len(path):
            if node is not None:
                yield node
        elif isinstance(node, Mapping):
            if path[start:] in node:
                waiting.append((node[path[start:]], len(path) + 1))
            dot = path.find(".", start)
            while dot >= 0:
                key = path[start:dot]
                if key in node:
                    waiting.append((node[key], dot + 1))
                dot = path.find(".", dot + 1)


def leaves(node: Any) -> Iterator[Leaf]:
    """Every text, number and boolean in it, however deep."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            waiting += node.values()
        elif isinstance(node, list | tuple):
            waiting += node
        elif isinstance(node, str | int | float):
            yield node


def text_of(leaf: Leaf) -> str:
    """A value as it is searched by text: JSON's words for booleans, whole numbers without a point."""
    if isinstance(leaf, str):
        return leaf
    if isinstance(leaf, bool):
        return "true" if leaf else "false"
    if isinstance(leaf, float) and leaf.is_integer() and abs(leaf) < WHOLE_FLOAT_MAX:
        return str(int(leaf))
    return repr(leaf)


WHOLE_FLOAT_MAX = 1e15  # above, a float's digits are not all its own
