"""People over HTTP and on the command line: signing in and out, what their role lets them do, what keys may not."""

import json
import re
from collections.abc import Iterator

import pytest
from harness import Caller, Platform, assert_failed, clean_environment, run

from execlave_server.api.exchange import Access, Route
from execlave_server.api.routes import ROUTES
from execlave_server.model.people import PersonRole
from execlave_server.model.permissions import ROLES, Permission

PASSWORD = "correct horse battery"
LOGIN = "/api/v1/auth/login"


def sign_in(platform: Platform, email: str) -> Caller:
    """Somebody signed in."""
    answer = platform.server.anyone.post(LOGIN, {"email": email, "password": PASSWORD})
    assert answer.status == 201, answer.body
    return platform.server.anyone.with_key(answer.data["token"])


@pytest.fixture(scope="module")
def people(platform: Platform) -> Iterator[dict[PersonRole, Caller]]:
    """One person of each role, signed in."""
    emails = {role: f"{role}@people.example" for role in PersonRole}
    for role, email in emails.items():
        platform.installation.run_json("user", "add", email, "--role", role, stdin=PASSWORD + "\n")
    yield {role: sign_in(platform, email) for role, email in emails.items()}
    for email in emails.values():
        platform.installation.run("user", "disable", email)


def call(caller: Caller, route: Route):
    """Call a route about something that is not there."""
    path = "/api/v1" + re.sub(r"\{[^}]+\}", "nobody", route.path)
    return caller.ask(route.method, path, None if route.method == "GET" else {})


class TestPermissions:
    @pytest.mark.parametrize("role", list(PersonRole))
    def test_a_person_may_what_the_role_has(self, people, role):
        """Each route lets a person in exactly where it names a permission and the role has it, or is for all people."""
        for route in ROUTES:
            if route.path == "/auth/logout":
                continue
            allowed = route.permission in ROLES[role] if route.permission else route.access is Access.PERSON
            allowed = allowed or route.access is Access.ANYONE
            answer = call(people[role], route)

            assert (answer.status == 403) != allowed, (route, answer.body)
            assert answer.status != 401, (route, answer.body)

    def test_no_key_decides(self, platform):
        """What is for people refuses every key, an administrator's too."""
        routes = [route for route in ROUTES if route.access is Access.PERSON]
        assert len(routes) >= 4

        for route in routes:
            for caller in (platform.server.agent, platform.server.admin):
                answer = call(caller, route)
                assert (answer.status, answer.code) == (403, "FORBIDDEN")

    def test_a_person_is_no_agent(self, people):
        """A session token does not speak the SDK's contract: enforce and ingest refuse it."""
        owner = people[PersonRole.OWNER]

        assert owner.enforce("bot").status == 401
        assert owner.ingest({"traceId": "t"}).status == 403

    def test_each_role_differs(self):
        """No two roles may the same, and an owner may everything."""
        assert len(set(ROLES.values())) == len(PersonRole)
        assert ROLES[PersonRole.OWNER] == frozenset(Permission)

    def test_a_name_that_several_agents_have_is_not_guessed(self, platform, people):
        """A person has no environment as a key has: where a name means several agents, their ids are asked for."""
        for environment in ("production", "staging"):
            body = {"agentId": "twins", "name": "Twins", "environment": environment}
            assert platform.server.agent.post("/api/v1/agents", body).status == 200
        owner = people[PersonRole.OWNER]
        answer = owner.patch("/api/v1/agents/twins/pause", {"reason": "x"})
        ids = [each["id"] for each in owner.get("/api/v1/agents?search=twins").data]

        assert (answer.status, answer.code) == (409, "CONFLICT")
        assert all(each in answer.json["error"]["message"] for each in ids)
        assert owner.patch(f"/api/v1/agents/{ids[0]}/pause", {"reason": "x"}).data["status"] == "paused"


class TestSessions:
    def test_me_says_who_and_what(self, people, platform):
        """`GET /auth/me` names the person and every permission."""
        me = people[PersonRole.APPROVER].get("/api/v1/auth/me").data

        assert (me["email"], me["role"]) == ("approver@people.example", "approver")
        assert me["organizationId"] == platform.installation.organization_id
        assert me["permissions"] == sorted(ROLES[PersonRole.APPROVER])
        assert "password" not in json.dumps(me).lower()

    def test_signing_out_ends_the_session(self, platform, people):
        """After signing out the token is nobody's, and others of the same person go on."""
        mine = sign_in(platform, "viewer@people.example")
        assert mine.get("/api/v1/auth/me").status == 200
        assert mine.post("/api/v1/auth/logout", {}).data == {"ended": True}
        after = mine.get("/api/v1/auth/me")

        assert (after.status, after.code) == (401, "SESSION_ENDED")
        assert people[PersonRole.VIEWER].get("/api/v1/auth/me").status == 200

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"email": "owner@people.example", "password": "wrong"}, 401, "SIGN_IN_FAILED"),
            ({"email": "nobody@people.example", "password": PASSWORD}, 401, "SIGN_IN_FAILED"),
            ({"email": "owner@people.example", "password": PASSWORD, "organization": "org_x"}, 401, "SIGN_IN_FAILED"),
            ({"email": "owner@people.example"}, 400, "VALIDATION_ERROR"),
            ({"email": "owner@people.example", "password": 7}, 400, "VALIDATION_ERROR"),
        ],
    )
    @pytest.mark.usefixtures("people")
    def test_a_sign_in_that_fails(self, platform, body, status, code):
        """Whatever is wrong, nothing says which part of it was."""
        answer = platform.server.anyone.post(LOGIN, body)

        assert (answer.status, answer.code) == (status, code)

    def test_a_token_that_never_was(self, platform):
        """A session token that was never given is refused like one that has ended."""
        answer = platform.server.anyone.with_key("exe_ses_" + "A" * 43).get("/api/v1/auth/me")

        assert (answer.status, answer.code) == (401, "SESSION_ENDED")

    @pytest.mark.usefixtures("people")
    def test_too_many_attempts(self, platform):
        """Guessing ends in 429, for the right password too."""
        wrong = {"email": "analyst@people.example", "password": "wrong"}
        answers = [platform.server.anyone.post(LOGIN, wrong) for _ in range(11)]
        right = platform.server.anyone.post(LOGIN, {**wrong, "password": PASSWORD})

        assert [answer.status for answer in answers] == [401] * 10 + [429]
        assert (right.status, right.code) == (429, "TOO_MANY_SIGN_INS")


class TestCommands:
    def test_people_come_and_go(self, platform):
        """`user add`, `list`, `password` and `disable` print what scripts read; passwords come by standard input."""
        installation, anyone = platform.installation, platform.server.anyone
        email = "carol@people.example"
        made = installation.run_json("user", "add", "Carol@People.example", "--role", "viewer", stdin=PASSWORD)
        again = installation.run("user", "add", email, "--role", "viewer", stdin=PASSWORD)
        short = installation.run("user", "password", email, stdin="short\n")
        changed = installation.run("user", "password", email, stdin="another long password\n")
        statuses = [
            anyone.post(LOGIN, {"email": email, "password": each}).status
            for each in (PASSWORD, "another long password")
        ]
        disabled = installation.run("user", "disable", email)
        listed = {each["email"]: each for each in installation.run_json("user", "list")}

        assert (made["email"], made["role"], made["disabledAt"]) == (email, "viewer", None)
        assert_failed(again, "CONFLICT", email)
        assert_failed(short, "VALIDATION_ERROR", "12")
        assert (changed.returncode, disabled.stdout) == (0, f"Disabled {email}.\n")
        assert statuses == [401, 201]
        assert listed[email]["disabledAt"] is not None
        assert anyone.post(LOGIN, {"email": email, "password": "another long password"}).status == 401

    def test_a_password_is_never_an_argument(self):
        """No command takes a password where the process list shows it."""
        ran = run("user", "add", "a@b.example", "--role", "viewer", "--password", "x", environment=clean_environment())

        assert ran.returncode == 2
        assert "No such option" in ran.stderr
