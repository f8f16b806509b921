"""The cookies. `__Host-` makes the browser hold them to this host, this scheme and every path, whoever sets them."""

from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response

from execlave_server.actions.sign_in import SESSION_LIFE_US

SESSION_COOKIE = "__Host-execlave_session"
VISIT_COOKIE = "__Host-execlave_visit"  # a random secret that forms are bound to before there is a session
FLASH_COOKIE = "__Host-execlave_flash"  # what the next page says once
THEME_COOKIE = "__Host-execlave_theme"


class Theme(StrEnum):
    """How the pages look in this browser."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


_YEAR_S = 31_536_000
_FLASH_S = 60  # a page that follows at once
_VISIT_S = 3_600


def set_cookie(response: Response, name: str, value: str, max_age_s: int) -> None:
    """A cookie that no script reads and no other site sends along with a form."""
    response.set_cookie(name, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="lax")


def drop_cookie(response: Response, name: str) -> None:
    """The browser forgets it."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def begin_session(response: Response, token: str) -> None:
    """Signed in: in place of any session before."""
    set_cookie(response, SESSION_COOKIE, token, SESSION_LIFE_US // 1_000_000)
    drop_cookie(response, VISIT_COOKIE)


def remember_visit(response: Response, secret: str) -> None:
    """Somebody who is not signed in and gets a form."""
    set_cookie(response, VISIT_COOKIE, secret, _VISIT_S)


def remember_theme(response: Response, theme: Theme) -> None:
    """Light, dark, or as the system has it."""
    set_cookie(response, THEME_COOKIE, theme, _YEAR_S)


def leave_flash(response: Response, signed: str) -> None:
    """What the next page says."""
    set_cookie(response, FLASH_COOKIE, signed, _FLASH_S)


def theme_of(request: Request) -> Theme:
    """The theme chosen in this browser."""
    try:
        return Theme(request.cookies.get(THEME_COOKIE, ""))
    except ValueError:
        return Theme.SYSTEM
