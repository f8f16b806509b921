"""The settings' pages over HTTP."""

import http.client
import json
import re
from urllib.parse import urlsplit

import pytest
from harness import WITHIN_S, wait_for

from execlave_server.web.cookies import SESSION_COOKIE
from visitor import PASSWORD, Visitor

OTHER_PASSWORD = "four unrelated words here"


def audit(platform, *kinds: str) -> list[dict]:
    """The audit chain's entries of these kinds."""
    rows = platform.installation.rows("select kind, actor, subject, details from audit_entries order by seq")
    return [
        {"kind": kind, "actor": actor, "subject": subject, **json.loads(details)}
        for kind, actor, subject, details in rows
        if kind in kinds
    ]


@pytest.fixture
def newcomer(platform, stranger) -> Visitor:
    """Somebody of his own, signed in, whom a test may change."""
    email = f"new{len(platform.installation.run_json('user', 'list'))}@pages.example"
    platform.installation.run_json("user", "add", email, "--role", "viewer", stdin=PASSWORD)
    assert stranger.sign_in(email, PASSWORD).status == 303
    stranger.email = email
    stranger.id = next(each["id"] for each in platform.installation.run_json("user", "list") if each["email"] == email)
    return stranger


class TestProfile:
    def test_a_name_is_changed(self, newcomer, platform):
        """The new name is on every page, and the change in the audit, without the name."""
        answer = newcomer.send("/settings/profile/name", {"name": "  Zoë <b> "}, of="/settings/profile")
        page = newcomer.follow(answer)

        assert "Your name is saved." in page.said
        assert "Zoë &lt;b&gt;" in page.text
        assert "Your name is saved." not in newcomer.get("/settings/profile").said
        [entry] = [each for each in audit(platform, "person.changed") if each["change"] == "renamed"][-1:]
        assert (entry["actor"], entry["person"]) == (f"person:{newcomer.id}", newcomer.id)

    def test_a_password_is_changed_by_who_knows_the_present_one(self, newcomer, platform):
        """The other sessions end, this one is begun anew, and the old password is over."""
        other = Visitor(newcomer.url)
        other.sign_in(newcomer.email, PASSWORD)
        before = newcomer.cookies[SESSION_COOKIE]
        fields = {"present": PASSWORD, "password": OTHER_PASSWORD, "again": OTHER_PASSWORD}
        page = newcomer.follow(newcomer.send("/settings/profile/password", fields, of="/settings/profile"))

        assert "Your password is changed" in page.said
        assert newcomer.cookies[SESSION_COOKIE] != before
        assert other.get("/settings/profile").status == 303
        assert Visitor(newcomer.url).sign_in(newcomer.email, PASSWORD).status == 401
        assert Visitor(newcomer.url).sign_in(newcomer.email, OTHER_PASSWORD).status == 303
        assert audit(platform, "person.changed")[-1]["actor"] == f"person:{newcomer.id}"

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"present": "not the one"}, "is not your password"),
            ({"again": "something else"}, "is another password"),
            ({"password": "short", "again": "short"}, "must have 12 to 256 characters"),
            ({"password": "Password-123!", "again": "Password-123!"}, "too easy to guess"),
        ],
    )
    def test_a_password_that_is_refused(self, newcomer, changed, said):
        """The page says what is wrong at the field, shows no password, and the session goes on."""
        fields = {"present": PASSWORD, "password": OTHER_PASSWORD, "again": OTHER_PASSWORD} | changed
        answer = newcomer.send("/settings/profile/password", fields, of="/settings/profile")

        assert answer.status == 400
        assert said in answer.said
        assert all(text not in answer.text for text in fields.values())
        assert newcomer.get("/settings/profile").status == 200


class TestSessions:
    def test_a_session_is_ended_from_another(self, newcomer):
        """Each sees both, with address and browser; ending one signs its browser out."""
        other = Visitor(newcomer.url)
        other.sign_in(newcomer.email, PASSWORD)
        page = newcomer.get("/settings/sessions")
        ends = re.findall(r'action="(/settings/sessions/[0-9a-f]+/end)"', page.text)
        assert len(ends) == 2
        assert page.said.count("127.0.0.1") == 2
        assert newcomer.cookies[SESSION_COOKIE] not in page.text
        mine = re.search(r"this one.*?/settings/sessions/([0-9a-f]+)/end", page.text, re.DOTALL)
        (others,) = [end for end in ends if mine[1] not in end]
        assert newcomer.send(others, of="/settings/sessions").status == 303

        assert other.get("/settings/sessions").status == 303
        assert newcomer.get("/settings/sessions").status == 200

    def test_nobody_ends_anothers(self, newcomer, owner):
        """Another person's session is as unknown as one that never was."""
        page = owner.get("/settings/sessions").text
        theirs = re.findall(r'action="(/settings/sessions/[0-9a-f]+/end)"', page)[0]

        assert newcomer.send(theirs, of="/settings/sessions").status == 404
        assert newcomer.send("/settings/sessions/zz/end", of="/settings/sessions").status == 404
        assert owner.get("/settings/sessions").status == 200

    def test_all_others_end_at_once(self, newcomer):
        """Only this one goes on."""
        others = [Visitor(newcomer.url) for _ in range(2)]
        for other in others:
            other.sign_in(newcomer.email, PASSWORD)
        newcomer.send("/settings/sessions/others/end", of="/settings/sessions")

        assert [other.get("/settings/sessions").status for other in others] == [303, 303]
        assert newcomer.get("/settings/sessions").status == 200


class TestKeys:
    def test_a_key_is_shown_once_and_works_until_revoked(self, owner, platform):
        """The answer to the form has the key; no later page has it; revoked, it is refused."""
        made = owner.send("/settings/keys/new", {"name": "checkout", "role": "agent", "environment": "stg"})
        assert made.status == 201
        (key,) = set(re.findall(r"exe_stg_[A-Za-z0-9_-]{43}", made.text))
        caller = platform.server.anyone.with_key(key)
        assert caller.post("/api/v1/agents", {"agentId": "k", "name": "K"}).status == 200
        page = owner.get("/settings/keys")
        assert key not in page.text
        assert "checkout" in page.said
        assert key[-4:] in page.text
        (revoke,) = re.findall(rf"…{re.escape(key[-4:])}</code>.*?action=\"([^\"]+/revoke)\"", page.text, re.DOTALL)
        after = owner.follow(owner.send(revoke, of="/settings/keys"))

        assert "The key is revoked." in after.said
        assert caller.enforce("k").json["allowed"] is False
        assert owner.send(revoke, of="/settings/keys").status == 404
        issued, revoked = audit(platform, "key.issued", "key.revoked")[-2:]
        assert issued["actor"] == revoked["actor"]
        assert issued["actor"].startswith("person:")

    @pytest.mark.parametrize("changed", [{"role": "god"}, {"environment": "mars"}, {"name": "x" * 101}])
    def test_a_form_that_is_refused_keeps_what_was_typed(self, owner, changed):
        """The error stands at its field and the other fields as they were."""
        fields = {"name": "my own name", "role": "admin", "environment": "dev"} | changed
        answer = owner.send("/settings/keys/new", fields)

        assert answer.status == 400
        assert 'aria-invalid="true"' in answer.text
        if "role" not in changed:
            assert '<option value="admin" selected>' in answer.text

    def test_a_key_of_another_organization_is_not_there(self, owner, platform):
        """Revoking what is another's answers like what never was, and does nothing."""
        other = platform.installation.run_json("org", "create", "Other")["id"]
        made = platform.installation.run_json("key", "create", "--org", other)
        foreign = owner.send(f"/settings/keys/{made['id']}/revoke", of="/settings/keys")
        unknown = owner.send("/settings/keys/key_nobody/revoke", of="/settings/keys")

        assert foreign.status == unknown.status == 404
        assert foreign.said == unknown.said
        assert platform.server.anyone.with_key(made["apiKey"]).get("/health").status == 200


class TestMembers:
    def path(self, platform, email: str) -> str:
        """The page of a member."""
        listed = platform.installation.run_json("user", "list")
        return f"/settings/members/{next(each['id'] for each in listed if each['email'] == email)}"

    def test_a_role_holds_at_once(self, owner, newcomer, platform):
        """A session that is open gets what the new role may, and the change is in the audit by its owner."""
        assert newcomer.get("/settings/keys").status == 403
        member = self.path(platform, newcomer.email)
        answer = owner.send(f"{member}/role", {"role": "admin"}, of=member)

        assert answer.status == 303
        assert newcomer.get("/settings/keys").status == 200
        entry = audit(platform, "person.changed")[-1]
        assert (entry["change"], entry["role"], entry["person"]) == ("role", "admin", newcomer.id)
        assert entry["actor"].startswith("person:")

    def test_a_disabled_member_is_out_and_may_come_back(self, owner, newcomer, platform):
        """Every session ends at once; enabled again, the password of before works."""
        member = self.path(platform, newcomer.email)
        owner.send(f"{member}/disable", of=member)
        assert newcomer.get("/settings/profile").status == 303
        assert Visitor(newcomer.url).sign_in(newcomer.email, PASSWORD).status == 401
        assert owner.send(f"{member}/disable", of=member).status == 409
        owner.send(f"{member}/enable", of=member)

        assert Visitor(newcomer.url).sign_in(newcomer.email, PASSWORD).status == 303
        changes = [each["change"] for each in audit(platform, "person.changed") if each["person"] == newcomer.id]
        assert changes == ["added", "disabled", "enabled"]

    def test_an_owner_is_left(self, owner, platform):
        """The last owner can neither be disabled nor become something else, by nobody, himself included."""
        member = self.path(platform, "owner@pages.example")
        for path, fields in ((f"{member}/disable", {}), (f"{member}/role", {"role": "viewer"})):
            answer = owner.send(path, fields, of=member)

            assert answer.status == 409
            assert "is the last owner" in answer.said
        assert owner.get(member).status == 200

    def test_members_of_others_are_not_there(self, owner, platform):
        """A person of another organization answers as one that never was."""
        other = platform.installation.run_json("org", "create", "Others")["id"]
        made = platform.installation.run_json(
            *("user", "add", "eve@other.example", "--role", "owner", "--org", other), stdin=PASSWORD
        )

        assert owner.get(f"/settings/members/{made['id']}").status == 404
        assert owner.send(f"/settings/members/{made['id']}/disable", of="/settings/profile").status == 404
        assert "eve@other.example" not in owner.get("/settings/members").text


class TestOrganization:
    def test_it_is_renamed(self, owner, sign_in, platform):
        """An owner or admin renames it; others see the name and no form."""
        page = owner.follow(owner.send("/settings/organization", {"name": "Acme <i>"}))
        seen = sign_in("viewer").get("/settings/organization")

        assert "Acme &lt;i&gt;" in page.text
        assert "Save name" in page.said
        assert "Save name" not in seen.said
        assert platform.installation.organization_id in seen.text
        assert audit(platform, "settings.changed")[-1]["names"] == ["name"]
        assert owner.send("/settings/organization", {"name": " "}).status == 400
        owner.send("/settings/organization", {"name": "default"})


class TestLive:
    def test_a_region_follows_the_store_and_ends_with_the_session(self, newcomer):
        """The first event is the region as on the page; a change comes by itself; the end of the session is said."""
        stream = open_stream(newcomer)
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        first = read_event(stream)
        Visitor(newcomer.url).sign_in(newcomer.email, PASSWORD)
        second = read_event(stream)
        newcomer.send("/sign-out", of="/settings/profile")
        last = read_event(stream)
        rest = stream.read()
        stream.connection.close()

        assert [len(set(re.findall("[0-9a-f]{64}/end", each))) for each in (first, second)] == [1, 2]
        assert last == "event: ended\ndata:"
        assert rest == b""

    def test_streams_are_bounded(self, sign_in):
        """A person has so many and no more, and they are free again when they are closed."""
        visitor = sign_in("approver")
        streams = [open_stream(visitor) for _ in range(6)]
        refused = visitor.get("/live/sessions")
        for stream in streams:
            stream.connection.close()

        assert (refused.status, refused.headers["retry-after"]) == (503, "30")
        wait_for(lambda: is_open(visitor), "a free stream")


def open_stream(visitor: Visitor) -> http.client.HTTPResponse:
    """A stream that has begun; `connection` closes it."""
    address = urlsplit(visitor.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=WITHIN_S)
    cookie = f"{SESSION_COOKIE}={visitor.cookies[SESSION_COOKIE]}"
    connection.request("GET", "/live/sessions", headers={"Cookie": cookie})
    response = connection.getresponse()
    assert response.status == 200
    response.connection = connection
    return response


def is_open(visitor: Visitor) -> bool:
    """Whether one more stream begins."""
    try:
        open_stream(visitor).connection.close()
    except AssertionError:
        return False
    return True


def read_event(stream) -> str:
    """The next event as it came, comments left out."""
    lines: list[str] = []
    while True:
        line = stream.readline().decode().rstrip("\n")
        if line:
            lines.append(line)
        elif lines := [each for each in lines if not each.startswith(":")]:
            return "\n".join(lines)
