"""HCL, Terraform's language, as text: blocks, attributes, and strings in which nothing is a template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

Scalar = str | int | float | bool
Value = Scalar | Sequence[str]


@dataclass(frozen=True, slots=True)
class Block:
    """`type "label" { attributes, then blocks }`."""

    type: str
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, Value | None] = field(default_factory=dict)
    blocks: Sequence["Block"] = ()


def hcl_text(blocks: Sequence[Block]) -> str:
    """Blocks as a file; an attribute that is None is left out."""
    return "\n".join("\n".join(_lines(block, "")) + "\n" for block in blocks)


def _lines(block: Block, indent: str) -> list[str]:
    given = {name: value for name, value in block.attributes.items() if value is not None}
    head = " ".join([block.type, *(_quoted(label) for label in block.labels)])
    inner = indent + "  "
    width = max(map(len, given), default=0)
    lines = [f"{indent}{head} {{"]
    lines += [f"{inner}{name.ljust(width)} = {_value(value)}" for name, value in given.items()]
    for each in block.blocks:
        lines += ([""] if len(lines) > 1 else []) + _lines(each, inner)
    return [*lines, f"{indent}}}"]


def _value(value: Value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case str():
            return _quoted(value)
        case _:
            return f"[{', '.join(_quoted(each) for each in value)}]"


def _quoted(text: str) -> str:
    """A string literal: JSON's escapes are HCL's, and `${` and `%{` would begin a template."""
    return msgspec.json.encode(text).decode().replace("${", "$${").replace("%{", "%%{")
