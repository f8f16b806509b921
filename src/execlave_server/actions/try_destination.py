from msgspec.structs import replace

from execlave_server.actions.configure_destination import get_destination, save_destination
from execlave_server.actions.services import Services
from execlave_server.audit.changes import COMMAND
from execlave_server.datadog.try_connection import ConnectionReport, try_connection
from execlave_server.model.destinations import Destination, DestinationState
from execlave_server.vault.envelope import api_key_of


async def try_destination(
    services: Services, organization: int, destination_id: str, *, actor: str = COMMAND
) -> tuple[Destination, ConnectionReport]:
    """Test the candidate connection where there is one, else the present one.

    A candidate that passes takes over at once; a held destination whose connection passes is enabled again.
    """
    before = await get_destination(services, organization, destination_id)
    connection = before.candidate or before.connection
    key = services.vault.open(connection.sealed_key, bound_to=api_key_of(before.organization_id, before.id))
    report = await try_connection(
        services.datadog,
        connection.site,
        key,
        service=before.service,
        ddtags=before.ddtags,
        now_ms=services.clock.now_us() // 1_000,
    )
    if not report.passed:
        if before.candidate is None and before.tested_at_us is not None and not before.state.collects:
            await save_destination(services, before, replace(before, tested_at_us=None), actor=actor)
        return await get_destination(services, organization, destination_id), report
    after = replace(
        before,
        site=connection.site,
        sealed_key=connection.sealed_key,
        key_hint=connection.key_hint,
        tested_at_us=services.clock.now_us(),
        candidate_site=None,
        candidate_sealed_key=None,
        candidate_key_hint=None,
    )
    if before.state is DestinationState.HELD:
        after = replace(after, state=DestinationState.ENABLED, state_reason=None)
    return await save_destination(services, before, after, actor=actor), report
