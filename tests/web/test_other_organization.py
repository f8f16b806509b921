"""Whoever belongs to another organization sees, changes and learns nothing: every route, page, stream and socket.

The routes come from the server's own tables, and each has an example in `tenant_routes`, which first has to work for
whom it is about: a route that cannot be called here fails.
"""

import http.client
import re
from contextlib import closing
from urllib.parse import urlencode, urlsplit

import pytest
import socketio
from harness import PUBLIC_URL, WITHIN_S, start_platform

from execlave_server.api import routes as api_routes
from execlave_server.web import routes as page_routes
from execlave_server.web.cookies import FLASH_COOKIE
from tenant_routes import API, PAGES, TOPICS, Example
from tenants import MARK, THEIRS, Tenant, Tenants, filled, found_tenants
from visitor import PASSWORD, Seen, Visitor, forgive_attempts

ENFORCE = f"POST {api_routes.ENFORCE_PATH}"
ID_CHARS_MIN = 20  # what is shorter is an agent's or a trace's name, which both may use
ENDS_THE_CALLER = {"POST /auth/logout", "POST /sign-out"}


def named(routes) -> list[str]:
    """The routes of a table as the examples name them."""
    return [f"{route.method} {route.path}" for route in routes]


ENDS_OTHERS = "POST /settings/sessions/others/end"  # the last: what signs others out would stop the walk
API_ROUTES = [ENFORCE, *named(api_routes.ROUTES)]
PAUSES = "POST /incidents/{incident}/contain"  # after the page that resumes what the API has paused
PAGE_ROUTES = sorted(named(page_routes.ROUTES), key=lambda route: (route == ENDS_OTHERS, route == PAUSES))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An installation of its own: the walk below uses its things up."""
    with start_platform(tmp_path_factory.mktemp("tenants"), public_url=PUBLIC_URL) as started:
        yield started


@pytest.fixture(scope="module")
def tenants(house) -> Tenants:
    """Both organizations."""
    return found_tenants(house)


def test_every_route_has_an_example():
    """A route, page or stream that is new has to be given an example, or it would go untested."""
    assert set(API) == set(API_ROUTES)
    assert set(PAGES) == set(PAGE_ROUTES)
    assert set(TOPICS) == {topic.name for topic in page_routes.TOPICS}


def test_the_examples_name_different_things():
    """An example that names nothing of an organization belongs to a route without a parameter, or says why."""
    without = {name for name, each in {**API, **PAGES}.items() if "{" in name and not each.names_something}

    assert without == {"GET /audit/entries/{seq}"}


def assert_learnt_nothing(tenants: Tenants, text: str, *, sent: bool) -> None:
    """None of the first organization's words, and none of its ids but those that the caller himself has sent."""
    at = text.lower().find(MARK)
    assert at < 0, text[max(0, at - 200) :][:400]
    if not sent:
        assert [name for name, value in tenants.names.items() if len(value) >= ID_CHARS_MIN and value in text] == []


def has_something(tenants: Tenants, text: str) -> bool:
    """Whether a text has a word or an id of the first organization in it."""
    return MARK in text.lower() or any(value in text for value in tenants.names.values())


def same_but_for_names(tenants: Tenants, *answers: str) -> bool:
    """Whether answers differ in nothing but the names that the caller himself has sent, and the forms' tokens."""
    sent = sorted({*tenants.names.values(), *tenants.unknown.values()}, key=len, reverse=True)
    names = re.compile("|".join(map(re.escape, sent)) + r'|name="csrf" value="[^"]+"')
    return len({names.sub("NAME", answer) for answer in answers}) == 1


def changes(tenants: Tenants) -> int:
    """The newest entry that tells what somebody has done in the first organization; what the server does goes on."""
    entries = tenants.ours.api.get("/api/v1/audit?events=true&limit=1000").data
    return max(entry["seq"] for entry in entries if entry["actor"] != "server")


class TestApi:
    def call(self, tenant: Tenant, route: str, example: Example, names: dict[str, str]):
        """Call a route as its example says."""
        caller = tenant.person if example.person else tenant.api
        body = filled(example.body, names)
        if route == "POST /deliveries/requeue":
            body = {"ids": [int(each) for each in body["ids"]]}
        return caller.ask(route.partition(" ")[0], "/api/v1" + filled(example.path, names), body)

    @pytest.mark.parametrize("route", [route for route in API_ROUTES if route not in ENDS_THE_CALLER])
    def test_what_is_foreign_is_as_what_is_not_there(self, tenants, route):
        """A foreign thing and an unknown one answer alike, with nothing of it and no change; then its owner may."""
        example, before = API[route], changes(tenants)
        foreign = self.call(tenants.theirs, route, example, tenants.names)
        unknown = self.call(tenants.theirs, route, example, tenants.unknown)

        assert_learnt_nothing(tenants, foreign.body.decode(), sent=example.names_something)
        assert changes(tenants) == before
        if example.names_something:
            assert foreign.status == example.foreign, foreign.body
            assert unknown.status == example.foreign, unknown.body
            if foreign.status >= 400:
                assert same_but_for_names(tenants, foreign.body.decode(), unknown.body.decode())
        ours = self.call(tenants.ours, route, example, tenants.names)
        if route != "POST /auth/login":
            assert ours.status < 300, ours.body
        if example.shows:
            assert has_something(tenants, ours.body.decode()), "the example shows nothing that could be seen"

    def test_a_lists_other_side(self, tenants):
        """What the other organization has made meanwhile is in its own lists alone."""
        for path in ("/policies", "/agents", "/traces"):
            mine = {str(each.get("id") or each["traceId"]) for each in tenants.theirs.api.get(f"/api/v1{path}").data}
            ours = {str(each.get("id") or each["traceId"]) for each in tenants.ours.api.get(f"/api/v1{path}").data}

            assert mine - {"an-example"}.union(tenants.unknown.values()) or path == "/traces"
            assert not (mine & ours) - {"an-example"}


def ask(visitor: Visitor, route: str, example: Example, names: dict[str, str]) -> Seen:
    """Ask for a page, or send its form with a good token."""
    method, path = route.partition(" ")[0], filled(example.path, names)
    visitor.cookies.pop(FLASH_COOKIE, None)  # what the form before has left to be said
    if method == "GET":
        return visitor.get(path)
    token = visitor.get("/settings/profile").csrf
    return visitor.ask("POST", path, urlencode({**filled(example.body, names), "csrf": token}))


class TestPages:
    @pytest.mark.parametrize("route", [route for route in PAGE_ROUTES if route not in ENDS_THE_CALLER])
    def test_what_is_foreign_is_as_what_is_not_there(self, house, tenants, route):
        """A foreign thing and an unknown one are the same page, with nothing of it, and unchanged; its owner may."""
        example, before = PAGES[route], changes(tenants)
        forgive_attempts(house)
        foreign = ask(tenants.theirs.visitor, route, example, tenants.names)
        unknown = ask(tenants.theirs.visitor, route, example, tenants.unknown)

        if "/invite/" not in route:  # whoever has the link may come in, wherever he is already
            assert_learnt_nothing(tenants, foreign.text, sent=example.names_something)
        assert changes(tenants) == before
        if example.names_something and "/invite/" not in route:
            assert (foreign.status, unknown.status) == (example.foreign, example.foreign), foreign.said
            assert same_but_for_names(tenants, foreign.text, unknown.text)
        if "{token}" in route or route == "POST /sign-in":
            return
        ours = ask(tenants.ours.visitor, route, example, tenants.names)
        assert ours.status < 500, ours.said
        if "password" not in route and "rotate" not in route:
            assert ours.status < 400, ours.said
        if example.shows:
            assert has_something(tenants, ours.text), "the example shows nothing that could be seen"


def first_event(visitor: Visitor, path: str) -> str:
    """What a stream says first."""
    address = urlsplit(visitor.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=WITHIN_S)
    with closing(connection):
        cookies = "; ".join(f"{name}={text}" for name, text in visitor.cookies.items())
        connection.request("GET", path, headers={"Cookie": cookies})
        response = connection.getresponse()
        assert response.status == 200, (path, response.status)
        said = b""
        while not said.endswith(b"\n\n"):
            said += response.read1(1)
        return said.decode()


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_a_stream_tells_of_ones_own(tenants, topic):
    """Server-sent events: a foreign thing ends the stream as an unknown one does; a list has nothing foreign in it."""
    example = TOPICS[topic]
    foreign = first_event(tenants.theirs.visitor, filled(example.path, tenants.names))
    unknown = first_event(tenants.theirs.visitor, filled(example.path, tenants.unknown))
    ours = first_event(tenants.ours.visitor, filled(example.path, tenants.names))

    assert_learnt_nothing(tenants, foreign, sent=False)
    assert not ours.startswith("event: ended")
    if example.names_something:
        assert foreign == unknown == "event: ended\ndata:\n\n"
    if example.shows:
        assert has_something(tenants, ours)


def test_a_socket_hears_of_its_own_agents(tenants):
    """Socket.IO: both use an agent of the same id; each key hears of its organization's, and of nothing else."""
    body = {"agentId": tenants.names["helper"], "name": "The same", "type": "custom", "environment": "production"}
    theirs_id = tenants.theirs.api.post("/api/v1/agents", body).data["id"]
    ids = {"ours": tenants.names["helper_id"], "theirs": theirs_id}
    heard: dict[str, list[str]] = {"ours": [], "theirs": []}
    clients = {name: socketio.SimpleClient() for name in heard}
    for name, client in clients.items():
        tenant: Tenant = getattr(tenants, name)
        assert tenant.api.enforce(tenants.names["helper"], environment="production").status == 200
        key = tenant.api.headers["Authorization"].removeprefix("Bearer ")
        client.connect(tenant.api.url, namespace="/sdk", transports=["websocket"], auth={"apiKey": key})
    try:
        for name in ("ours", "theirs"):  # whatever the first pause told anybody comes before the second one's telling
            tenant = getattr(tenants, name)
            reason = {"reason": f"{MARK} reason" if name == "ours" else "another"}
            assert tenant.api.patch(f"/api/v1/agents/{ids[name]}/pause", reason).status == 200
            event = clients[name].receive(timeout=WITHIN_S)
            heard[name].append(str(event))
    finally:
        for client in clients.values():
            client.disconnect()

    assert MARK in heard["ours"][0]
    assert "another" in heard["theirs"][0]
    assert_learnt_nothing(tenants, heard["theirs"][0], sent=False)


def test_signing_out_ends_ones_own_session(house, tenants):
    """The two routes that end the caller's session end no other one."""
    forgive_attempts(house)
    visitor = Visitor(house.server.url)
    visitor.sign_in(THEIRS, PASSWORD)
    answer = house.server.anyone.post("/api/v1/auth/login", {"email": THEIRS, "password": PASSWORD})
    caller = house.server.anyone.with_key(answer.data["token"])

    assert visitor.send("/sign-out", of="/settings/profile").status == 303
    assert caller.post("/api/v1/auth/logout").status == 200
    assert caller.get("/api/v1/auth/me").status == 401
    assert tenants.ours.visitor.get("/settings/profile").status == 200
