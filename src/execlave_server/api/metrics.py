"""GET /metrics on the main port, for those who present the token."""

import hmac

from starlette.requests import Request
from starlette.responses import Response

from execlave_server.actions.read_metrics import read_metrics
from execlave_server.actions.services import Services
from execlave_server.api.codec import refuse
from execlave_server.api.exchange import presented_key
from execlave_server.errors import NotFoundError, UnauthorizedError
from execlave_server.metrics import CONTENT_TYPE
from execlave_server.model.secret import Secret


async def answer_metrics(services: Services, token: Secret, request: Request) -> Response:
    """The server's metrics: 404 while no token is set, 401 without it."""
    if not token.reveal():
        return refuse(NotFoundError("There are no metrics here: EXECLAVE_SERVER_METRICS_TOKEN is not set."))
    presented = presented_key(request) or ""
    if not hmac.compare_digest(presented.encode(errors="replace"), token.reveal().encode()):
        return refuse(UnauthorizedError("The metrics need their token: Authorization: Bearer <metrics_token>."))
    return Response(await read_metrics(services), media_type=CONTENT_TYPE)
