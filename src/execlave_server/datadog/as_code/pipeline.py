"""The log pipeline: severity as it is meant, Datadog's standard attributes, and two tags.

Order matters: a processor sees what those before it wrote. Of all pipelines only the first status remapper counts.
"""

from msgspec import Struct

from execlave_server.datadog.as_code.monitors import MANAGED_BY
from execlave_server.datadog.as_code.searches import EVERY_LOG

SEVERITY = "execlave.log_status"  # not `execlave.severity`, which is the policy's


class Filter(Struct, frozen=True):
    """Which logs."""

    query: str


class Category(Struct, frozen=True):
    """A name for the logs of a search; the first that matches wins."""

    name: str
    filter: Filter


class CategoryProcessor(Struct, frozen=True, tag_field="type", tag="category-processor"):
    """Writes the name of the first category that matches."""

    name: str
    categories: tuple[Category, ...]
    target: str
    is_enabled: bool = True


class StatusRemapper(Struct, frozen=True, tag_field="type", tag="status-remapper"):
    """Takes the log's severity from an attribute."""

    name: str
    sources: tuple[str, ...]
    is_enabled: bool = True


class AttributeRemapper(Struct, frozen=True, tag_field="type", tag="attribute-remapper"):
    """Copies an attribute to another, or to a tag."""

    name: str
    sources: tuple[str, ...]
    target: str
    target_type: str = "attribute"
    source_type: str = "attribute"
    preserve_source: bool = True
    override_on_conflict: bool = False
    is_enabled: bool = True


class ArithmeticProcessor(Struct, frozen=True, tag_field="type", tag="arithmetic-processor"):
    """Writes the result of an expression, where its attributes are there."""

    name: str
    expression: str
    target: str
    is_replace_missing: bool = False
    is_enabled: bool = True


Processor = CategoryProcessor | StatusRemapper | AttributeRemapper | ArithmeticProcessor


class Pipeline(Struct, frozen=True):
    """The body of `POST /api/v1/logs/config/pipelines`."""

    name: str
    filter: Filter
    processors: tuple[Processor, ...]
    tags: tuple[str, ...] = ()
    is_enabled: bool = True


def _category(name: str, query: str) -> Category:
    return Category(name, Filter(query))


PIPELINE = Pipeline(
    name="Execlave",
    filter=Filter(EVERY_LOG),
    tags=("source:execlave", MANAGED_BY),
    processors=(
        CategoryProcessor(
            name="Severity of a trace or event",
            target=SEVERITY,
            categories=(
                _category("error", "@execlave.status:(error OR timeout)"),
                _category(
                    "warn",
                    "@execlave.status:(policy_blocked OR limit_exceeded OR flagged_for_review OR effect_unconfirmed)",
                ),
                _category("ok", "@execlave.status:success"),
                _category("error", "@execlave.event:(enforcement.bypassed OR approval.misused)"),
                _category(
                    "warn",
                    "@execlave.event:(agent.status_changed OR approval.expired OR approval.execution_unverified "
                    "OR budget.warning OR budget.hit OR destination.held)",
                ),
                _category("notice", "@execlave.event:* -@execlave.event:heartbeat"),
            ),
        ),
        StatusRemapper(name="Severity", sources=(SEVERITY,)),
        AttributeRemapper(name="User", sources=("user_id",), target="usr.id"),
        AttributeRemapper(name="Error kind", sources=("error_type",), target="error.kind"),
        AttributeRemapper(name="Error message", sources=("error_message",), target="error.message"),
        ArithmeticProcessor(name="Duration in nanoseconds", expression="duration_ms * 1000000", target="duration"),
        AttributeRemapper(name="Environment as the tag env", sources=("environment",), target="env", target_type="tag"),
        AttributeRemapper(
            name="Span type as a tag, so that span_type:tool matches",
            sources=("span_type",),
            target="span_type",
            target_type="tag",
        ),
    ),
)
