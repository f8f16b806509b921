"""Where the sandbox knows that it differs from the real Datadog. Every page shows this list."""

import re

from execlave_server.sandbox.limits import SEARCHABLE_LOGS_MIN

# What the sandbox does otherwise, and what no source says, so that it had to choose. A line each.
_LINES = f"""\
Only the newest logs can be searched: {SEARCHABLE_LOGS_MIN:,} at least, twice as many at most. Nothing
    survives a restart.
Facets and measures need no set-up here. Datadog's documentation asks for a measure before a sum, an average
    or a numeric range over an attribute; create them in Datadog by hand.
Every attribute is indexed whole. Datadog cuts values at 25 KiB and messages at 75 KiB, and indexes neither
    more than 256 attributes nor keys of 50 characters nor 10 levels.
There is one index, `main`; logs are neither excluded, archived nor rehydrated. Flex and frozen tiers are
    not there.
Pipelines run the processors category, attribute-, status-, date-, message-, service-, trace-id- and
    span-id-remapper, arithmetic and string-builder. Others, such as grok-parser, are refused.
No integration pipeline runs by itself, whatever `source` a log has.
Of several date remappers the last one wins; Datadog's pages contradict each other there.
A dashed UUID as `trace_id` can be searched by `trace_id:`; what Datadog makes of one is not documented. The
    id is hidden from the attributes in both.
A log dated in the future keeps its date. What Datadog does past two hours is not documented.
Percentiles and cardinalities of an aggregate are exact; Datadog's are estimates close to them.
The bucket of totals in an aggregate is named __TOTAL__; what Datadog writes there is not recorded.
Only log alerts are evaluated. Other types of monitor, composite queries and formulas are refused.
A monitor counts a log when it can be searched here; late logs, rollups and flapping groups may differ by an
    evaluation.
Notifications go to one webhook on this machine. Handles such as @slack-... are listed, and nobody is told.
Downtimes, roles, restriction policies and audit of monitors are stored at most, and have no effect.
Log metrics are counted by the minute and shown at /sandbox/metrics; there is no metric explorer.
Dashboards and Cloud SIEM rules are checked for shape, stored and given back. Nothing is drawn, no signal is
    made.
Without application keys of its own the sandbox takes any DD-APPLICATION-KEY.
There are no rate limits, unless a fault rule plays one.
Saved views, live tail, patterns and transactions are not there.
"""
DIFFERENCES = tuple(" ".join(line.split()) for line in re.split(r"\n(?! )", _LINES.strip()))
