"""One request on its way through a page: who looks, what was sent, and how the answer is made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from functools import cached_property
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from execlave_server.actions.person_sessions import OpenSession, organization_of
from execlave_server.actions.services import Services
from execlave_server.errors import BadRequestError, PayloadTooLargeError, ValidationFailedError
from execlave_server.model.organizations import Organization
from execlave_server.model.people import Person
from execlave_server.model.permissions import ROLES, Permission
from execlave_server.model.secret import Secret
from execlave_server.web.cookies import FLASH_COOKIE, drop_cookie, leave_flash, theme_of
from execlave_server.web.csrf import CSRF_FIELD, csrf_token
from execlave_server.web.flash import open_flash, seal_flash
from execlave_server.web.navigation import Navigation
from execlave_server.web.render import render

Choice = TypeVar("Choice", bound=StrEnum)

FORM_BYTES_MAX = 1_000_000  # of what people type or paste
FORM_FIELDS_MAX = 1_000  # the longest list of boxes to tick is far shorter
SEE_OTHER = 303


class Access(Enum):
    """Who may see a page that no permission names."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"


@dataclass(frozen=True)
class Form:
    """The fields of a form or of an address, as text. A field that was not sent is empty."""

    fields: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, encoded: str) -> "Form":
        """From `name=value&...`. Raises BadRequestError."""
        try:
            pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict")
        except ValueError as error:
            raise BadRequestError(f"The form cannot be read: {error}.") from error
        fields: dict[str, list[str]] = {}
        for name, value in pairs:
            fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
        return cls(fields)

    def __getitem__(self, name: str) -> str:
        """A field's text without the blanks around it, "" where there is none."""
        return self.raw(name).strip()

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def raw(self, name: str) -> str:
        """A field's text exactly as it was typed, as a password is."""
        values = self.fields.get(name)
        return values[-1] if values else ""

    def choice(self, name: str, known: type[Choice]) -> Choice:
        """A field as one of a closed set. Raises ValidationFailedError naming the field."""
        try:
            return known(self[name])
        except ValueError as error:
            words = ", ".join(str(each) for each in known)
            raise ValidationFailedError(
                f"{name} is {self[name]!r}; it must be one of {words}.", fields={name: f"must be one of {words}"}
            ) from error

    def all(self, name: str) -> list[str]:
        """Every value of a field, as of boxes that were ticked."""
        return self.fields.get(name, [])


@dataclass(frozen=True)
class Page:
    """What a handler is given. Without a session only on a public page."""

    services: Services
    request: Request
    route: "PageRoute"
    navigation: Navigation
    open_session: OpenSession | None
    bound_to: Secret
    form: Form

    @property
    def session(self) -> OpenSession:
        """The session, on a page that is not public."""
        assert self.open_session is not None
        return self.open_session

    @property
    def person(self) -> Person:
        """Who looks, on a page that is not public. Actions take it as the `Caller`."""
        return self.session.person

    @property
    def organization(self) -> Organization:
        """Where the person belongs: every query goes by its `number`."""
        return organization_of(self.session)

    @cached_property
    def query(self) -> Form:
        """What stands after the question mark."""
        return Form.parse(self.request.url.query)

    @cached_property
    def csrf(self) -> str:
        """The token that each form carries (macro `csrf_field`)."""
        return csrf_token(self.services, self.bound_to)

    @property
    def address(self) -> str:
        """The network address that the request came from."""
        return self.request.client.host if self.request.client else ""

    @property
    def browser(self) -> str:
        """What the browser calls itself."""
        return self.request.headers.get("user-agent", "")

    @property
    def origin(self) -> str:
        """Where people reach this server, for links that are sent to others."""
        public_url = self.services.settings.public_url
        return public_url.rstrip("/") or str(self.request.base_url).rstrip("/")

    @property
    def now_us(self) -> int:
        """The time."""
        return self.services.clock.now_us()

    def path(self, name: str) -> str:
        """A part of the path."""
        value: str = self.request.path_params[name]
        return value

    def may(self, permission: Permission | str) -> bool:
        """Whether to show what needs a permission; the check itself is the route's."""
        return self.open_session is not None and Permission(permission) in ROLES[self.person.role]

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page of a template in `web/templates`; errors and kept values of a form are empty unless given."""
        sealed = self.request.cookies.get(FLASH_COOKIE)
        flash = open_flash(self.services, self.bound_to, sealed) if sealed else None
        about_forms = {"errors": {}, "values": self.form, "problem": None}
        response = HTMLResponse(self.fragment(template, flash=flash, **(about_forms | values)), status)
        if sealed:
            drop_cookie(response, FLASH_COOKIE)
        return response

    def fragment(self, template: str, **values: Any) -> str:
        """The HTML of a template alone: a region that a page includes and a stream sends anew."""
        fixed = {"page": self, "now_us": self.now_us, "theme": theme_of(self.request), "csrf_field_name": CSRF_FIELD}
        return render(template, **fixed, **values)

    def bound_to_session(self, token: Secret) -> Self:
        """The same exchange in a session that has just begun, so that what it leaves is for that one."""
        return replace(self, bound_to=token)

    def redirect(self, path: str, flash: str = "") -> Response:
        """Go to a path of ours after a form, where `flash` is said once."""
        response = RedirectResponse(path, SEE_OTHER)
        if flash:
            leave_flash(response, seal_flash(self.services, self.bound_to, flash))
        return response


Handler = Callable[[Page], Awaitable[Response]]


@dataclass(frozen=True)
class PageRoute:
    """One line of the page route table. `area` is what the navigation marks as current."""

    method: str
    path: str
    access: Permission | Access
    handler: Handler
    area: str = ""


async def read_form(request: Request) -> Form:
    """The form in a request's body. Raises BadRequestError, PayloadTooLargeError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadRequestError("Pages take forms only. Programs use the HTTP API under /api/v1.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES_MAX:
            raise PayloadTooLargeError(f"The form has more than {FORM_BYTES_MAX:,} bytes. Send less at once.")
    try:
        return Form.parse(body.decode())
    except UnicodeDecodeError as error:
        raise BadRequestError("The form is not UTF-8.") from error
