"""Runs pipelines over a log: compiled once, when they are configured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from execlave_server.datadog.preprocess import remap_status
from execlave_server.datadog.tags import stored_tags
from execlave_server.sandbox.arithmetic import compile_expression
from execlave_server.sandbox.attribute_paths import read_path, remove_path, write_path
from execlave_server.sandbox.match_logs import Matches, compile_matcher
from execlave_server.sandbox.prepare_log import NO_PIPELINE_TAG, as_text, read_date_ms
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.processors import (
    PLACE,
    AnyProcessor,
    ArithmeticProcessor,
    AttributeRemapper,
    CategoryProcessor,
    DateRemapper,
    MessageRemapper,
    Pipeline,
    ServiceRemapper,
    SpanIdRemapper,
    StatusRemapper,
    StringBuilderProcessor,
    TraceIdRemapper,
    round_nine,
)


@dataclass(slots=True)
class Passage:
    """One log on its way through the pipelines."""

    log: PreparedLog
    arrived_us: int
    severity_set: bool = False  # the first status remapper counts, later ones do not


Step = Callable[[Passage], None]


@dataclass(frozen=True, slots=True)
class CompiledPipeline:
    """What a pipeline does."""

    matches: Matches
    steps: tuple[Step, ...]


def compile_pipeline(pipeline: Pipeline) -> CompiledPipeline:
    """Raises ValueError for a query or an expression that cannot be read."""
    steps = tuple(compile_step(processor) for processor in pipeline.processors if processor.is_enabled)
    return CompiledPipeline(compile_matcher(pipeline.filter.query), steps)


def run_pipelines(pipelines: Sequence[CompiledPipeline], log: PreparedLog, arrived_us: int) -> None:
    """Send the log through every pipeline that matches, in order."""
    passage = Passage(log, arrived_us)
    matched = False
    for pipeline in pipelines:
        if pipeline.matches(log):
            matched = True
            for step in pipeline.steps:
                step(passage)
    if not matched:
        log.tags.append(NO_PIPELINE_TAG)


def compile_step(processor: AnyProcessor) -> Step:
    """The function that does what the processor says."""
    match processor:
        case CategoryProcessor():
            return categorize(processor)
        case AttributeRemapper():
            return remap_attribute(processor)
        case ArithmeticProcessor():
            return compute(processor)
        case StringBuilderProcessor():
            return build_string(processor)
        case _:
            sources, remap = processor.sources, REMAPPERS[type(processor)]
            return lambda passage: remap(passage, sources)


def categorize(processor: CategoryProcessor) -> Step:
    """The first category that matches names the target."""
    categories = [(compile_matcher(category.filter.query), category.name) for category in processor.categories]

    def step(passage: Passage) -> None:
        for matches, name in categories:
            if matches(passage.log):
                write_path(passage.log.attributes, processor.target, name)
                return

    return step


def remap_attribute(processor: AttributeRemapper) -> Step:
    """The first source that is there goes to the target; an existing target stays unless told to override."""
    from_tag, to_tag = processor.source_type == "tag", processor.target_type == "tag"

    def step(passage: Passage) -> None:
        log = passage.log
        for source in processor.sources:
            value = tag_value(log, source) if from_tag else read_path(log.attributes, source)
            if value is not None:
                break
        else:
            return
        there = tag_value(log, processor.target) if to_tag else read_path(log.attributes, processor.target)
        if there is not None and not processor.override_on_conflict:
            return
        if not processor.preserve_source and source != processor.target:
            forget_source(log, source, from_tag=from_tag)
        if to_tag:
            log.tags = [tag for tag in log.tags if not tag.startswith(f"{processor.target}:")]
            log.tags += stored_tags(f"{processor.target}:{as_text(value)}")
        else:
            write_path(log.attributes, processor.target, cast_value(value, processor.target_format))

    return step


def tag_value(log: PreparedLog, key: str) -> str | None:
    """The value of the first tag with this key."""
    return next((tag[len(key) + 1 :] for tag in log.tags if tag.startswith(f"{key}:")), None)


def forget_source(log: PreparedLog, source: str, *, from_tag: bool) -> None:
    """Take a remapped source away."""
    if from_tag:
        log.tags = [tag for tag in log.tags if not tag.startswith(f"{source}:")]
    else:
        remove_path(log.attributes, source)


def cast_value(value: Any, target_format: str | msgspec.UnsetType) -> Any:
    """The value in the format asked for; as it is where it does not fit."""
    try:
        match target_format:
            case "string":
                return as_text(value)
            case "integer":
                return int(float(value))
            case "double":
                return float(value)
            case _:
                return value
    except (TypeError, ValueError, OverflowError):
        return value


def read_first(log: PreparedLog, sources: Sequence[str]) -> Any:
    """The first source that is there."""
    for source in sources:
        value = read_path(log.attributes, source)
        if value is not None:
            return value
    return None


def set_status(passage: Passage, sources: Sequence[str]) -> None:
    """Severity from the first source that is there, once for each log."""
    if passage.severity_set:
        return
    value = read_first(passage.log, sources)
    if value is not None:
        passage.log.status = remap_status(value)
        passage.severity_set = True


def set_date(passage: Passage, sources: Sequence[str]) -> None:
    """The date; of several remappers the last one wins, as the current page says."""
    value = read_first(passage.log, sources)
    if value is not None:
        passage.log.timestamp_ms = read_date_ms(value, passage.arrived_us)


def set_message(passage: Passage, sources: Sequence[str]) -> None:
    """The message; `message` itself was hoisted before, so that source changes nothing."""
    log = passage.log
    if sources[0] == "message" and log.message:
        return
    value = read_first(log, sources)
    if value is not None:
        log.message = as_text(value)


def set_service(passage: Passage, sources: Sequence[str]) -> None:
    """The service, and its tag."""
    log = passage.log
    value = as_text(read_first(log, sources))
    if value and value != log.service:
        log.tags = [tag for tag in log.tags if tag != f"service:{log.service}"]
        log.tags.append(f"service:{value}")
        log.service = value


def set_trace_id(passage: Passage, sources: Sequence[str]) -> None:
    """The trace id, taken out of the attributes."""
    passage.log.trace_id = take_id(passage.log, sources) or passage.log.trace_id


def set_span_id(passage: Passage, sources: Sequence[str]) -> None:
    """The span id, taken out of the attributes."""
    passage.log.span_id = take_id(passage.log, sources) or passage.log.span_id


def take_id(log: PreparedLog, sources: Sequence[str]) -> str | None:
    """The first source that is there, as text, removed."""
    for source in sources:
        value = remove_path(log.attributes, source)
        if value is not None:
            return as_text(value)
    return None


# What sets a reserved attribute from sources.
REMAPPERS: dict[type[AnyProcessor], Callable[[Passage, Sequence[str]], None]] = {
    StatusRemapper: set_status,
    DateRemapper: set_date,
    MessageRemapper: set_message,
    ServiceRemapper: set_service,
    TraceIdRemapper: set_trace_id,
    SpanIdRemapper: set_span_id,
}


def compute(processor: ArithmeticProcessor) -> Step:
    """A number from attributes; without one of them nothing is written, unless missing ones count as 0."""
    expression = compile_expression(processor.expression)

    def step(passage: Passage) -> None:
        def look_up(path: str) -> float:
            value = read_path(passage.log.attributes, path)
            if value is None and processor.is_replace_missing:
                return 0.0
            return float(value)

        try:
            result = expression(look_up)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError):
            return
        if math.isfinite(result):
            write_path(passage.log.attributes, processor.target, round_nine(result))

    return step


def build_string(processor: StringBuilderProcessor) -> Step:
    """Text with attributes in it; a missing one leaves it unwritten, unless missing ones count as empty."""
    pieces = PLACE.split(processor.template)  # text and paths by turns

    def step(passage: Passage) -> None:
        built = [pieces[0]]
        for path, text in zip(pieces[1::2], pieces[2::2], strict=True):
            value = read_path(passage.log.attributes, path)
            if value is None and not processor.is_replace_missing:
                return
            built += [show_value(value), text]
        write_path(passage.log.attributes, processor.target, "".join(built))

    return step


def show_value(value: Any) -> str:
    """As the string builder writes it: an array's elements joined by commas, an object as JSON."""
    return ",".join(map(as_text, value)) if isinstance(value, list) else as_text(value)
