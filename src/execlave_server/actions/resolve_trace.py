"""What became known of a trace after it was recorded: appended, never written over what was known then."""

from enum import StrEnum

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.errors import ConflictError
from execlave_server.model.people import Caller
from execlave_server.store.protocol import Call, Check, Parameters, StaleError, Write, integer

RESOLUTIONS_PER_TRACE_MAX = 100
DECIDE_AGAIN_MAX = 5


class ResolvedStatus(StrEnum):
    """What the effect turned out to be."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"


class Basis(StrEnum):
    """How that became known."""

    READ_BACK = "read_back"
    CALLBACK = "callback"
    MANUAL = "manual"
    RECONCILIATION = "reconciliation"


class Resolution(Struct, frozen=True):
    """One later observation about a trace."""

    id: str
    trace_id: str
    resolved_status: ResolvedStatus
    basis: Basis
    effect_ref: str | None
    acknowledgement_id: str | None
    detail: str | None
    observed_at_us: int
    recorded_at_us: int


async def resolve_trace(services: Services, key: Caller, resolution: Resolution) -> None:
    """Append an observation. The trace may still be on its way: the SDK sends traces every ten seconds.

    Raises ConflictError when the trace has as many resolutions as it may.
    """
    place: Parameters = {"organization": key.organization, "trace_id": resolution.trace_id}
    row = {name: getattr(resolution, name) for name in resolution.__struct_fields__}
    row |= {"organization": key.organization, "api_key": key.id}
    for _ in range(DECIDE_AGAIN_MAX):
        count = integer((await services.store.rows("count_resolutions", place))[0][0])
        if count >= RESOLUTIONS_PER_TRACE_MAX:
            break
        try:
            checks = [Check("count_resolutions", place, (count,))]
            await services.store.commit(Write(checks=checks, calls=[Call("insert_resolution", row)]))
        except StaleError:
            continue
        return
    raise ConflictError(
        f"The trace {resolution.trace_id} has {RESOLUTIONS_PER_TRACE_MAX} resolutions, or is being resolved by many at "
        "this moment. Look at those there are."
    )


async def list_resolutions(services: Services, key: Caller, trace_id: str) -> list[Resolution]:
    """What became known of a trace, oldest first; nothing for a trace nobody resolved."""
    place: Parameters = {"organization": key.organization, "trace_id": trace_id}
    return await services.store.find(Resolution, "resolutions_of_trace", place)
