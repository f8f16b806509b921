"""The page route table: what holds for each page, whoever wrote it."""

import re
from urllib.parse import urlencode

import pytest

from execlave_server.model.people import PersonRole
from execlave_server.model.permissions import ROLES, Permission
from execlave_server.web.cookies import SESSION_COOKIE
from execlave_server.web.exchange import Access
from execlave_server.web.headers import CONTENT_SECURITY_POLICY, PAGE_HEADERS
from execlave_server.web.routes import ROUTES, TOPICS

ENDS_SOMETHING = {"/sign-out"}  # not called on a session that others need


def each(*, method: str | None = None, access: object = None):
    """A test for each of these routes."""
    routes = [
        route for route in ROUTES if method in (None, route.method) and (access is None or route.access is access)
    ]
    return pytest.mark.parametrize("route", routes, ids=[f"{route.method} {route.path}" for route in routes])


def path_of(route) -> str:
    """The route's path, about something that is not there."""
    return re.sub(r"\{[^}]+\}", "nobody", route.path)


@each()
def test_each_answer_has_the_headers(stranger, owner, route):
    """Every answer of every route carries the policy and is kept by nobody, whoever asks and whatever comes of it."""
    visitors = [stranger] if route.path in ENDS_SOMETHING else [stranger, owner]
    for visitor in visitors:
        answer = visitor.ask(route.method, path_of(route), "" if route.method == "POST" else None)

        assert {name.lower(): answer.headers[name.lower()] for name in PAGE_HEADERS} == {
            name.lower(): text for name, text in PAGE_HEADERS.items()
        }
        assert answer.status < 500, answer.said


def test_the_policy_allows_nothing_inline():
    """Scripts and styles come from files of ours, and nothing else is loaded or framed."""
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "frame-ancestors 'none'" in CONTENT_SECURITY_POLICY


@each(method="GET")
def test_pages_have_nothing_inline(owner, route):
    """No page has a style attribute, an inline script or a handler in an attribute."""
    text = owner.get(path_of(route)).text

    assert not re.search(r"<[^>]*\s(style|on[a-z]+)=", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert "<style" not in text


@each()
def test_without_a_session_nothing_is_shown(stranger, route):
    """Who is not signed in is sent to sign in, by every page that is not for everybody."""
    if route.access is Access.PUBLIC:
        return
    answer = stranger.ask(route.method, path_of(route), "" if route.method == "POST" else None)

    assert answer.status == 303
    assert answer.headers["location"].partition("?")[0] == "/sign-in"


@each(method="POST")
def test_a_form_without_its_token_does_nothing(owner, stranger, route):
    """Every form asks for the token of its session: none, a wrong one and another session's are refused alike."""
    visitor = stranger if route.access is Access.PUBLIC else owner
    of_another = stranger.get("/sign-in").csrf if visitor is owner else owner.get("/settings/profile").csrf
    for token in (None, "", "A" * 43, of_another):
        body = urlencode({"csrf": token} if token is not None else {})
        answer = visitor.ask("POST", path_of(route), body)

        assert answer.status == 403, (route.path, answer.said)
        assert "load the page anew" in answer.said


@each(method="POST")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
    ],
    ids=str,
)
def test_a_form_from_another_site_does_nothing(owner, stranger, route, headers):
    """With the right token too: what the browser says of where a form comes from is believed."""
    visitor = stranger if route.access is Access.PUBLIC else owner
    token = visitor.get("/sign-in" if visitor is stranger else "/settings/profile").csrf
    answer = visitor.ask("POST", path_of(route), urlencode({"csrf": token}), **headers)

    assert answer.status == 403
    assert SESSION_COOKIE not in "".join(answer.cookies)


@pytest.mark.parametrize("role", list(PersonRole))
def test_a_role_sees_what_it_may(sign_in, role):
    """Each page lets a person in exactly where the role has its permission."""
    visitor = sign_in(role)
    token = visitor.get("/settings/profile").csrf
    for route in ROUTES:
        if not isinstance(route.access, Permission):
            continue
        body = urlencode({"csrf": token}) if route.method == "POST" else None
        answer = visitor.ask(route.method, path_of(route), body)

        assert (answer.status != 403) == (route.access in ROLES[role]), (route.method, route.path, answer.said)


@pytest.mark.parametrize("role", list(PersonRole))
def test_the_navigation_leads_somewhere(sign_in, role):
    """Whatever stands in the navigation or the settings' tabs answers 200 to whom it is shown."""
    visitor = sign_in(role)
    text = visitor.get("/settings/profile").text
    links = set(re.findall(r'<a href="(/[^"]*)"', text))

    assert {"/settings", "/settings/profile", "/settings/sessions"} <= links
    for link in links:
        answer = visitor.get(link)
        while answer.status == 303:
            answer = visitor.follow(answer)
        assert answer.status == 200, link


@pytest.mark.parametrize("path", ["/nothing", "/settings/nothing", "/traces/", "/sign-in/", "/static/none.css"])
def test_what_is_not_there_is_a_404_page(stranger, owner, path):
    """An unknown address is a page that says so, to whoever asks."""
    for visitor in (stranger, owner):
        answer = visitor.get(path)

        assert answer.status == 404
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_static_files_are_kept_by_browsers(stranger):
    """Stylesheet, script and icon have their hash in the address, and may be kept for a year."""
    text = stranger.get("/sign-in").text
    addresses = set(re.findall(r'"(/static/[^"]+)"', text))

    assert {re.sub(r"\.[0-9a-f]{12}\.", ".", address) for address in addresses} == {
        "/static/app.css",
        "/static/app.js",
        "/static/icon.svg",
    }
    for address in addresses:
        answer = stranger.get(address)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("topic", [*TOPICS], ids=lambda topic: topic.name)
def test_a_stream_is_for_who_may(stranger, topic):
    """Who is not signed in hears that it has ended and nothing else, so that a page left open goes to sign in."""
    answer = stranger.get(f"/live/{topic.name}")

    assert (answer.status, answer.text) == (200, "event: ended\ndata:\n\n")
    assert answer.headers["cache-control"] == "no-store"


def test_each_area_has_a_route_of_one_method():
    """A method and a path stand in the table once, and each GET page can be read without changing anything."""
    places = [(route.method, route.path) for route in ROUTES]

    assert len(set(places)) == len(places)
    assert {route.method for route in ROUTES} == {"GET", "POST"}
