"""What the page after a form says once. It travels in a cookie, sealed so that only this server can put words there."""

import base64
import binascii
import hmac

from execlave_server.actions.services import Services
from execlave_server.model.secret import Secret

FLASH_CHARS_MAX = 500  # a sentence or two; a cookie holds 4 kB


def seal_flash(services: Services, bound_to: Secret, text: str) -> str:
    """A text as the cookie's value, good for this session only."""
    said = text[:FLASH_CHARS_MAX]
    return f"{base64.urlsafe_b64encode(said.encode()).decode()}.{_mac(services, bound_to, said)}"


def open_flash(services: Services, bound_to: Secret, sealed: str) -> str | None:
    """The text, or None where the cookie is not ours or of another session."""
    encoded, _, mac = sealed.partition(".")
    try:
        said = base64.urlsafe_b64decode(encoded.encode()).decode()
    except (binascii.Error, ValueError):
        return None
    return said if hmac.compare_digest(mac.encode(), _mac(services, bound_to, said).encode()) else None


def _mac(services: Services, bound_to: Secret, text: str) -> str:
    return services.keys.hash(f"flash {bound_to.reveal()} {text}").hex()
