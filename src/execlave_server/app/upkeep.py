"""What the server does by itself: it watches the disk, lapses what ran out, sweeps, opens incidents, writes heads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from execlave_server.actions.issue_key import note_key_uses
from execlave_server.actions.lapse_reservations import lapse_reservations
from execlave_server.actions.open_incidents import IncidentOpener
from execlave_server.actions.services import Services
from execlave_server.actions.sign_head import HeadKeeper
from execlave_server.actions.sign_in import sweep_sign_ins
from execlave_server.actions.sweep import DAY_US, Sweep, Wanted
from execlave_server.actions.sweep_approvals import sweep_approvals
from execlave_server.actions.watch_disk import LOOK_EVERY_S
from execlave_server.errors import ExeclaveServerError, UnavailableError

SWEEP_EVERY_S = 3_600.0
APPROVALS_EVERY_S = 2.0  # two look-ups in small indexes; what they find is already refused by the clock
SIGN_INS_EVERY_S = 600.0
INCIDENTS_EVERY_S = 2.0  # what stopped an agent is an incident before anybody has followed the link to it
KEY_USES_EVERY_S = 60.0  # "last used" is for people who look for keys that nobody needs
LAPSE_EVERY_S = 1.0  # two reads by index; money that nobody claimed is free again so soon after its ten minutes

log = structlog.get_logger()


@asynccontextmanager
async def upkeep(services: Services) -> AsyncIterator[None]:
    """Do it all until the context ends. The disk is looked at once before anything is answered."""
    await services.disk.look(services.store)
    opener = IncidentOpener(services)
    tasks = [
        asyncio.create_task(_repeat(lambda: services.disk.look(services.store), LOOK_EVERY_S)),
        asyncio.create_task(_repeat(lambda: _sweep_approvals(services), APPROVALS_EVERY_S)),
        asyncio.create_task(_repeat(lambda: sweep_sign_ins(services), SIGN_INS_EVERY_S)),
        asyncio.create_task(_repeat(lambda: _lapse(services), LAPSE_EVERY_S)),
        asyncio.create_task(_repeat(lambda: _open_incidents(opener), INCIDENTS_EVERY_S)),
        asyncio.create_task(_repeat(lambda: note_key_uses(services), KEY_USES_EVERY_S)),
    ]
    if services.settings.retention_days:
        tasks.append(asyncio.create_task(_repeat(lambda: _sweep(services), SWEEP_EVERY_S)))
    if services.settings.audit_head_file:
        keeper = HeadKeeper(services, Path(services.settings.audit_head_file))
        tasks.append(
            asyncio.create_task(_repeat(lambda: _write_heads(keeper), services.settings.audit_head_minutes * 60))
        )
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(work: Callable[[], Awaitable[object]], every_s: float) -> None:
    while True:
        try:
            await work()
        except UnavailableError as error:
            log.warning("upkeep.unavailable", error=str(error))
        except Exception as error:  # the boundary of a task: what fails now is tried again next time
            log.exception("upkeep.failed", error=str(error))
        await asyncio.sleep(every_s)


async def _lapse(services: Services) -> None:
    if lapsed := await lapse_reservations(services.store, services.clock):
        log.info("budget.reservations_lapsed", reservations=lapsed)


async def _sweep(services: Services) -> None:
    before_us = services.clock.now_us() - services.settings.retention_days * DAY_US
    swept = await Sweep(services.store, services.clock, Wanted(before_us)).run()
    if swept.looked_at or swept.decisions:
        removed = {"batches": swept.batches, "traces": swept.traces, "decisions": swept.decisions}
        log.info("retention.swept", **removed, left=dict(swept.left))


async def _sweep_approvals(services: Services) -> None:
    swept = await sweep_approvals(services)
    if any(swept):
        log.info("approvals.swept", expired=swept.expired, unverified=swept.unverified)


async def _open_incidents(opener: IncidentOpener) -> None:
    if opened := await opener.look():
        log.info("incidents.opened", incidents=opened)


async def _write_heads(keeper: HeadKeeper) -> None:
    """Append the signed heads that moved; a file that cannot be written is complained of each time."""
    try:
        await keeper.write()
    except ExeclaveServerError as error:
        log.error("audit.heads_not_written", error=str(error))  # noqa: TRY400 - its text says it all
