"""That a form was filled in on a page of ours: by a token bound to the session, and by what the browser says."""

import base64
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from execlave_server.actions.services import Services
from execlave_server.errors import ForbiddenError
from execlave_server.model.secret import Secret

CSRF_FIELD = "csrf"
_OWN_SITES = {None, "same-origin", "none"}  # of Sec-Fetch-Site; None: a browser that does not send it


class ForgedFormError(ForbiddenError):
    """A form that no page of ours sent, or one from before the session began."""

    code = "FORGED_FORM"


def csrf_token(services: Services, bound_to: Secret) -> str:
    """The token of the forms that are shown to the holder of a session (or, before one, of a visit's cookie)."""
    mac = services.keys.hash(f"csrf {bound_to.reveal()}")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def check_form(services: Services, request: Request, bound_to: Secret, presented: str) -> None:
    """Raise ForgedFormError unless the form is ours."""
    if not is_same_origin(request, services.settings.public_url):
        raise ForgedFormError("This form was sent from another site, so nothing was done.")
    if not hmac.compare_digest(csrf_token(services, bound_to).encode(), presented.encode()):
        raise ForgedFormError("This form is from before you signed in, or was not sent by these pages.")


def is_same_origin(request: Request, public_url: str) -> bool:
    """What the browser itself says of where a request comes from; without a word of it the token alone decides."""
    if request.headers.get("sec-fetch-site") not in _OWN_SITES:
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc in {request.headers.get("host"), urlsplit(public_url).netloc} - {
        "",
        None,
    }
