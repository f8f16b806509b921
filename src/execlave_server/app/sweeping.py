"""What the server does by the clock: approvals that run out, sessions and attempts that are over."""

import asyncio

import structlog

from execlave_server.actions.services import Services
from execlave_server.actions.sign_in import sweep_sign_ins
from execlave_server.actions.sweep_approvals import sweep_approvals
from execlave_server.errors import UnavailableError

APPROVALS_EVERY_S = 2.0  # two look-ups in small indexes; what they find is already refused by the clock
SIGN_INS_EVERY = 300  # in rounds of the above

log = structlog.get_logger()


async def keep_sweeping(services: Services) -> None:
    """Sweep until cancelled. A database that cannot just now is asked again in the next round."""
    rounds = 0
    while True:
        try:
            swept = await sweep_approvals(services)
            if any(swept):
                log.info("approvals.swept", expired=swept.expired, unverified=swept.unverified)
            if rounds % SIGN_INS_EVERY == 0:
                await sweep_sign_ins(services)
        except UnavailableError as error:
            log.warning("sweep.failed", error=error.message)
        except Exception:
            log.exception("sweep.unexpected_error")  # the loop's boundary: later rounds must still come
        rounds += 1
        await asyncio.sleep(APPROVALS_EVERY_S)
