"""Paths into a log's attributes. A dotted key and nested objects are the same path, as in Datadog."""

from typing import Any

Attributes = dict[str, Any]


def read_path(attributes: Attributes, path: str) -> Any:
    """The value at `path`, or None. The longest key that is there wins at each level."""
    if path in attributes:
        return attributes[path]
    dot = path.rfind(".")
    while dot > 0:
        inner = attributes.get(path[:dot])
        if isinstance(inner, dict):
            found = read_path(inner, path[dot + 1 :])
            if found is not None:
                return found
        dot = path.rfind(".", 0, dot)
    return None


def write_path(attributes: Attributes, path: str, value: Any) -> None:
    """Put `value` at `path`, as nested objects, replacing what stands in the way."""
    if path in attributes:
        attributes[path] = value
        return
    *above, last = path.split(".")
    for key in above:
        inner = attributes.get(key)
        if not isinstance(inner, dict):
            inner = attributes[key] = {}
        attributes = inner
    attributes[last] = value


def remove_path(attributes: Attributes, path: str) -> Any:
    """Take the value at `path` out, and the objects that it leaves empty; returns it, or None."""
    if path in attributes:
        return attributes.pop(path)
    dot = path.rfind(".")
    while dot > 0:
        inner = attributes.get(path[:dot])
        if isinstance(inner, dict):
            removed = remove_path(inner, path[dot + 1 :])
            if removed is not None:
                if not inner:
                    del attributes[path[:dot]]
                return removed
        dot = path.rfind(".", 0, dot)
    return None
