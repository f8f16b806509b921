"""docs/reference/monitors.md, out of what is shipped: `python -m execlave_server.datadog.as_code.describe_monitors`."""

import sys
from collections.abc import Iterator

from execlave_server.datadog.as_code.metrics import METRICS
from execlave_server.datadog.as_code.monitors import SHIPPED, ShippedMonitor
from execlave_server.datadog.as_code.pipeline import PIPELINE
from execlave_server.datadog.as_code.searches import AS_IT_HAPPENS
from execlave_server.datadog.as_code.siem import RULES
from execlave_server.datadog.as_code.spec_queries import OF_THE_SPECIFICATION
from execlave_server.datadog.monitors.parse_monitor_query import parse_monitor_query

_INTRODUCTION = f"""\
# Shipped monitors

What `execlave-server datadog render` prints and `datadog apply` sets up. This page is made from the same data, and a
test holds it to them. Thresholds are starting points: `datadog backtest` says when each would have fired on your own
traces. [How to set it all up](../how-to/datadog-setup.md).

Searches of traces and events begin with `{AS_IT_HAPPENS}`:
what an outage delayed and what a replay repeats pages nobody. They ask for `@execlave.status`, the copy that Datadog
does not reserve: [why](../explanation/why-at-status.md).
"""


def describe_monitors() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, *(_monitor(each) for each in SHIPPED), "\n".join(_others()), "\n".join(_specification())]
    return "\n".join(parts)


def _monitor(shipped: ShippedMonitor) -> str:
    definition = shipped.definition
    query = parse_monitor_query(definition.query)
    thresholds = definition.options.thresholds
    warning = "" if thresholds.warning is None else f", warns past {thresholds.warning:g}"
    per = f" for each {', '.join(f'`{name}`' for name in query.group_by)}" if query.group_by else ""
    measure = f" of `{query.measure}`" if query.measure else ""
    title = definition.name.removeprefix("Execlave: ")
    alerts = f"{query.comparator} {query.threshold:g}"
    return f"""\
## {title[0].upper()}{title[1:]}

`{shipped.key}`, priority {definition.priority}. {shipped.why}

The {query.aggregation}{measure} over {query.window_minutes} minutes{per}: alerts at `{alerts}`{warning}.
Without data: `{definition.options.missing}`.

```
{definition.query}
```
"""


def _others() -> Iterator[str]:
    yield "## Log-based metrics\n\n| metric | of | search | tags |\n|---|---|---|---|"
    for metric in METRICS:
        compute, data = metric.data.attributes.compute, metric.data
        tags = ", ".join(f"`{each.tag_name}`" for each in data.attributes.group_by)
        of = f"distribution of `{compute.path}`" if compute.path else "count"
        yield f"| `{data.id}` | {of} | `{data.attributes.filter.query}` | {tags} |"
    yield "\n## Cloud SIEM rules\n\n| rule | method | search |\n|---|---|---|"
    for rule in RULES:
        searches = "<br>".join(f"`{each.query}`" for each in rule.queries)
        yield f"| {rule.name.removeprefix('Execlave: ')} | {rule.options.detection_method} | {searches} |"
    yield (
        "\nThe first block of an agent in 30 days is a rule and no monitor: a log monitor looks back 48 hours at most, "
        "a rule on\nnew values remembers 30 days."
    )
    yield "\n## Pipeline\n\nFor `" + PIPELINE.filter.query + "`, in this order:\n"
    for place, processor in enumerate(PIPELINE.processors, 1):
        yield f"{place}. {processor.name}"


def _specification() -> Iterator[str]:
    yield "\n## The specification's searches\n\n| | as printed | as Datadog has to be asked |\n|---|---|---|"
    for query in OF_THE_SPECIFICATION:
        yield f"| {query.name} | `{query.printed}` | `{query.corrected}` |"
    yield (
        "\nThe first and the third, as printed, are accepted by Datadog and never match. "
        "[Why](../explanation/why-at-status.md).\n"
    )


if __name__ == "__main__":
    sys.stdout.write(describe_monitors())
