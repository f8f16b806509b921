"""The processors of a log pipeline, as Datadog's API writes them."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from execlave_server.sandbox.limits import PROCESSORS_MAX

Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
Template = Annotated[str, Meta(max_length=10_000)]
Sources = Annotated[list[Text], Meta(min_length=1, max_length=100)]


class QueryFilter(Struct, frozen=True):
    """`{"query": "..."}`."""

    query: str = ""


class Category(Struct):
    """A name for the logs that match."""

    name: Text
    filter: QueryFilter


class Processor(Struct, tag_field="type", kw_only=True):
    """What all processors have."""

    name: str | UnsetType = UNSET
    is_enabled: bool = False


class CategoryProcessor(Processor, tag="category-processor", kw_only=True):
    """Writes the name of the first category that matches."""

    categories: Annotated[list[Category], Meta(max_length=100)]
    target: Text


class AttributeRemapper(Processor, tag="attribute-remapper", kw_only=True):
    """Moves or copies the first source that is there to the target, an attribute or a tag."""

    sources: Sources
    source_type: Literal["attribute", "tag"] = "attribute"
    target: Text
    target_type: Literal["attribute", "tag"] = "attribute"
    target_format: Literal["auto", "string", "integer", "double"] | UnsetType = UNSET
    preserve_source: bool = False
    override_on_conflict: bool = False


class StatusRemapper(Processor, tag="status-remapper", kw_only=True):
    """Sets the severity. Only the first one over all matching pipelines counts."""

    sources: Sources


class DateRemapper(Processor, tag="date-remapper", kw_only=True):
    """Sets the log's date."""

    sources: Sources


class MessageRemapper(Processor, tag="message-remapper", kw_only=True):
    """Sets the message."""

    sources: Sources


class ServiceRemapper(Processor, tag="service-remapper", kw_only=True):
    """Sets the service."""

    sources: Sources


class TraceIdRemapper(Processor, tag="trace-id-remapper", kw_only=True):
    """Sets the trace id, and hides its source."""

    sources: Sources


class SpanIdRemapper(Processor, tag="span-id-remapper", kw_only=True):
    """Sets the span id, and hides its source."""

    sources: Sources


class ArithmeticProcessor(Processor, tag="arithmetic-processor", kw_only=True):
    """Computes a number from attributes."""

    expression: Text
    target: Text
    is_replace_missing: bool = False


class StringBuilderProcessor(Processor, tag="string-builder-processor", kw_only=True):
    """Writes text with attributes in it."""

    template: Template
    target: Annotated[str, Meta(min_length=1, max_length=256)]
    is_replace_missing: bool = False


AnyProcessor = (
    CategoryProcessor
    | AttributeRemapper
    | StatusRemapper
    | DateRemapper
    | MessageRemapper
    | ServiceRemapper
    | TraceIdRemapper
    | SpanIdRemapper
    | ArithmeticProcessor
    | StringBuilderProcessor
)


class PipelineBody(Struct, kw_only=True):
    """The body that creates or replaces a pipeline."""

    name: Text
    filter: QueryFilter = msgspec.field(default_factory=QueryFilter)
    is_enabled: bool = False
    processors: Annotated[list[AnyProcessor], Meta(max_length=PROCESSORS_MAX)] = []
    description: str | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


class Pipeline(PipelineBody, kw_only=True):
    """A pipeline as it is given back."""

    id: str
    type: str = "pipeline"
    is_read_only: bool = False


PLACE = re.compile(r"%\{([^{}]+)\}")


def round_nine(value: float) -> Any:
    """A computed number as Datadog keeps it: nine decimals, whole where it is whole."""
    rounded = round(value, 9)
    return int(rounded) if rounded.is_integer() else rounded
