"""The route table against every kind of key: who may call what is the table's word, and every refusal has one shape."""

import re

import pytest
from harness import Answer, Platform

from execlave_server.api.exchange import Access, Route
from execlave_server.api.routes import ENFORCE_PATH, PREFIXES, ROUTES, UNPREFIXED

NEVER_ISSUED = "exe_prod_" + "A" * 43
ADMIN_ROUTES = [route for route in ROUTES if route.access is Access.ADMIN]
AGENT_ROUTES = [route for route in ROUTES if route.access is Access.AGENT]
PERSON_ROUTES = [route for route in ROUTES if route.access is Access.PERSON]  # see test_people.py
KEY_ROUTES = [*ADMIN_ROUTES, *AGENT_ROUTES]
CLOSED_ROUTES = [*KEY_ROUTES, *PERSON_ROUTES]
OPEN_ROUTES = [route for route in ROUTES if route.access is Access.ANYONE]
REFUSED = {401, 403}


def each(routes):
    """A test for each of these routes under each prefix."""
    cases = [(route, prefix) for route in routes for prefix in PREFIXES]
    return pytest.mark.parametrize(
        ("route", "prefix"), cases, ids=[f"{route.method} {prefix}{route.path}" for route, prefix in cases]
    )


def call(caller, route: Route, prefix: str) -> Answer:
    """Call a route about something that is not there, with an empty JSON object where it takes a body."""
    path = prefix + re.sub(r"\{[^}]+\}", "nobody", route.path)
    return caller.ask(route.method, path, None if route.method == "GET" else {})


def assert_error(answer: Answer, code: str) -> None:
    """The one shape of an error: a code, a sentence, and the fields at fault where there are any."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.json.keys() == {"error"}
    error = answer.json["error"]
    assert error.keys() - {"fields"} == {"code", "message"}
    assert error["code"] == code
    assert len(error["message"]) > 20
    assert all(isinstance(text, str) for text in error.get("fields", {"a": "b"}).values())


@pytest.fixture(scope="module")
def revoked_key(platform: Platform) -> str:
    """A key that was issued and then revoked."""
    made = platform.installation.run_json("key", "create", "--role", "admin")
    assert platform.installation.run("key", "revoke", made["id"]).returncode == 0
    return made["apiKey"]


class TestRoles:
    def test_there_are_routes_of_both_kinds(self):
        """The walk below walks something."""
        assert len(ADMIN_ROUTES) >= 10
        assert len(AGENT_ROUTES) >= 6
        assert len(CLOSED_ROUTES) + len(OPEN_ROUTES) == len(ROUTES)
        assert [route.path for route in OPEN_ROUTES] == ["/auth/login"]

    @each(ADMIN_ROUTES)
    def test_an_agent_key_may_not_administer(self, platform, route, prefix):
        """Each administrative route answers an agent key 403."""
        answer = call(platform.server.agent, route, prefix)

        assert answer.status == 403
        assert_error(answer, "FORBIDDEN")

    @each(AGENT_ROUTES)
    def test_an_agent_key_may_speak_the_sdk_contract(self, platform, route, prefix):
        """Each route of the SDK's contract lets an agent key in."""
        assert call(platform.server.agent, route, prefix).status not in REFUSED

    @each(KEY_ROUTES)
    def test_an_admin_key_may_do_everything(self, platform, route, prefix):
        """No route for keys refuses an admin key."""
        assert call(platform.server.admin, route, prefix).status not in REFUSED


class TestKeys:
    @each(CLOSED_ROUTES)
    def test_without_a_key_nothing_is_done(self, platform, route, prefix):
        """Each route answers 401 to a request without a key, and says how to send one."""
        answer = call(platform.server.anyone, route, prefix)

        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert_error(answer, "INVALID_API_KEY")

    @each(ROUTES)
    @pytest.mark.parametrize("key", ["exe_prod_short", NEVER_ISSUED, "sk-other", "Ünïcode"])
    def test_a_bad_key_is_refused(self, platform, route, prefix, key):
        """Each route answers 401 to a key that this server never issued, whatever it looks like."""
        answer = call(platform.server.anyone.with_key(key), route, prefix)

        assert answer.status == 401
        assert_error(answer, "INVALID_API_KEY")

    @each(ROUTES)
    def test_a_revoked_key_is_refused(self, platform, route, prefix, revoked_key):
        """Each route answers 401 to a key that was revoked, even an administrator's."""
        answer = call(platform.server.anyone.with_key(revoked_key), route, prefix)

        assert answer.status == 401
        assert_error(answer, "API_KEY_REVOKED")

    @each(KEY_ROUTES)
    def test_the_other_header_works_too(self, platform, route, prefix):
        """`X-API-Key` is as good as `Authorization: Bearer`."""
        path = prefix + re.sub(r"\{[^}]+\}", "nobody", route.path)
        body = None if route.method == "GET" else {}
        admitted = platform.server.anyone.ask(route.method, path, body, X_API_Key=platform.installation.admin_key)
        refused = platform.server.anyone.ask(route.method, path, body, X_API_Key=NEVER_ISSUED)

        assert admitted.status not in REFUSED
        assert refused.status == 401

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_enforce_knows_both_headers_and_prefixes(self, platform, prefix):
        """The endpoint with rules of its own takes either header under either prefix, and 401s a key never issued."""
        body = {"agentId": "nobody", "input": "hello"}
        anyone, path = platform.server.anyone, prefix + ENFORCE_PATH
        bearer = platform.server.agent.post(path, body)
        named = anyone.post(path, body, X_API_Key=platform.installation.api_key)
        refused = [anyone.post(path, body), anyone.post(path, body, X_API_Key=NEVER_ISSUED)]

        assert (bearer.status, named.status) == (200, 200)
        for answer in refused:
            assert answer.status == 401
            assert_error(answer, "INVALID_API_KEY")

    @pytest.mark.parametrize("route", UNPREFIXED, ids=lambda route: route.path)
    def test_open_routes_still_tell_a_bad_key(self, platform, route, revoked_key):
        """What anyone may ask is answered without a key and with a good one; a bad or revoked key shows up as 401."""
        anyone = platform.server.anyone
        admitted = [call(caller, route, "") for caller in (anyone, platform.server.agent, platform.server.admin)]
        refused = [call(anyone.with_key(key), route, "") for key in (NEVER_ISSUED, revoked_key)]

        assert [answer.status for answer in admitted] == [200] * 3
        assert [answer.status for answer in refused] == [401] * 2
        assert_error(refused[0], "INVALID_API_KEY")
        assert_error(refused[1], "API_KEY_REVOKED")


class TestElsewhere:
    @pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v2/agents", "/api/v1/nothing", "/api/v1/deliveries/"])
    def test_an_unknown_path_is_a_404_in_the_same_shape(self, platform, path):
        """A path that is not there is refused as all else is, never redirected, which would drop a POST's body."""
        for method in ("GET", "POST"):
            answer = platform.server.admin.ask(method, path, None if method == "GET" else {})

            assert answer.status == 404
            assert_error(answer, "NOT_FOUND")

    def test_an_unknown_method_is_a_405_in_the_same_shape(self, platform):
        """A path that has other methods says so."""
        answer = platform.server.admin.ask("DELETE", "/api/v1/agents")

        assert answer.status == 405
        assert_error(answer, "METHOD_NOT_ALLOWED")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{", "BAD_REQUEST"),
            (b"\xff{}", "BAD_REQUEST"),
            (b'{"metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "BAD_REQUEST"),
            (b'"text"', "VALIDATION_ERROR"),
            (b'{"agentId": 7, "name": "n"}', "VALIDATION_ERROR"),
            (b'{"agentId": "", "name": "n"}', "VALIDATION_ERROR"),
            (b'{"agentId": "a"}', "VALIDATION_ERROR"),
            (b'{"agentId": "a", "name": "n", "autonomyLevel": "godlike"}', "VALIDATION_ERROR"),
        ],
    )
    def test_a_bad_body_is_a_400_that_says_what_is_wrong(self, platform, body, code):
        """A body that is not what the endpoint takes is answered 400 in the same shape."""
        answer = platform.server.agent.ask("POST", "/api/v1/agents", body)

        assert answer.status == 400
        assert_error(answer, code)

    def test_a_wrong_field_is_named(self, platform):
        """`fields` names what is at fault."""
        answer = platform.server.agent.post("/api/v1/agents", {"agentId": 7, "name": "n"})

        assert answer.json["error"]["fields"].keys() == {"agentId"}

    @pytest.mark.parametrize("query", ["limit=many", "limit=-1", "limit=201", "limit=%C2%B2", f"offset={'9' * 5_000}"])
    def test_a_bad_query_is_a_400_that_names_it(self, platform, query):
        """A page that cannot be meant is answered 400 under the parameter's name."""
        answer = platform.server.agent.get(f"/api/v1/agents?{query}")

        assert answer.status == 400
        assert_error(answer, "VALIDATION_ERROR")
        assert answer.json["error"]["fields"].keys() == {query.partition("=")[0]}

    def test_a_body_over_the_limit_is_a_413_in_the_same_shape(self, platform):
        """What people configure is bounded at a megabyte, and the answer is heard."""
        answer = platform.server.admin.post("/api/v1/integrations", {"name": "x" * 2_000_000})

        assert answer.status == 413
        assert_error(answer, "PAYLOAD_TOO_LARGE")
