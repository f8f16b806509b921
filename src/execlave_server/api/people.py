"""Signing in and out over HTTP. The token goes as `Authorization: Bearer`; cookies are the pages' business."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from execlave_server.actions.manage_people import EMAIL_CHARS_MAX, PASSWORD_CHARS_MAX
from execlave_server.actions.sign_in import Credentials, sign_in, sign_out
from execlave_server.api.codec import data, decode
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso
from execlave_server.model.people import Person
from execlave_server.model.permissions import ROLES
from execlave_server.model.secret import Secret
from execlave_server.model.traces import ID_CHARS_MAX


class _LoginBody(Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=EMAIL_CHARS_MAX)]
    password: Annotated[str, Meta(max_length=PASSWORD_CHARS_MAX)]
    organization: Annotated[str, Meta(max_length=ID_CHARS_MAX)] | None = None


async def post_login(exchange: Exchange) -> Response:
    """A session for an email and a password."""
    body = decode(exchange.body, _LoginBody)
    credentials = Credentials(body.email, Secret(body.password), body.organization, exchange.address)
    session = await sign_in(exchange.services, credentials)
    began = {"token": session.token.reveal(), "expiresAt": iso(session.expires_at_us)}
    return data({**began, "person": person_view(session.person)}, 201)


async def post_logout(exchange: Exchange) -> Response:
    """End the session that the request came with."""
    await sign_out(exchange.services, exchange.presented)
    return data({"ended": True})


async def get_me(exchange: Exchange) -> Response:
    """Who is signed in, and what he may do."""
    return data({**person_view(exchange.person), "permissions": sorted(ROLES[exchange.person.role])})


def person_view(person: Person) -> dict[str, Any]:
    """A person as the API and the command line show him."""
    return {
        "id": person.id,
        "organizationId": person.organization_id,
        "email": person.email,
        "name": person.name,
        "role": person.role,
        "createdAt": iso(person.created_at_us),
        "disabledAt": iso(person.disabled_at_us),
    }
