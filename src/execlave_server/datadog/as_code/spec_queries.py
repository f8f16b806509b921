"""The three searches of the specification: as printed, and as Datadog has to be asked.

As printed, the first and the third never match: `status` is Datadog's severity, and `span_type:tool` is a tag.
"""

from typing import NamedTuple


class SpecQuery(NamedTuple):
    """`rest` is what follows the search in a monitor's query."""

    name: str
    printed: str
    corrected: str
    rest: str

    def monitor(self, search: str) -> str:
        """A monitor's query with one of its searches."""
        return f'logs("{search}").index("*"){self.rest}'


BURST = SpecQuery(
    "policy violation burst",
    "source:execlave status:(policy_blocked OR flagged_for_review OR limit_exceeded)",
    "source:execlave @status:(policy_blocked OR flagged_for_review OR limit_exceeded)",
    '.rollup("count").by("@agent_id").last("15m") > 10',
)
COST = SpecQuery(
    "cost runaway",
    "source:execlave",
    "source:execlave",
    '.rollup("sum", "@cost_usd").by("@agent_id").last("1h") > 5',
)
AUTONOMOUS = SpecQuery(
    "autonomous-tier agents hitting blocks",
    "source:execlave status:policy_blocked span_type:tool @autonomy_level:autonomous",
    "source:execlave @status:policy_blocked @span_type:tool @autonomy_level:autonomous",
    '.rollup("count").last("5m") > 0',
)
OF_THE_SPECIFICATION = (BURST, COST, AUTONOMOUS)
