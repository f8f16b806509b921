"""Signing in and out, the first person, and invitations, over HTTP."""

import re
from pathlib import Path

import pytest
from harness import Installation, running

from execlave_server.web.cookies import SESSION_COOKIE, VISIT_COOKIE
from visitor import PASSWORD, Visitor


def cookie(seen, name: str) -> str:
    """How an answer set a cookie."""
    (header,) = [each for each in seen.cookies if each.startswith(f"{name}=")]
    return header


class TestSignIn:
    def test_the_cookies_are_held_to_this_host(self, stranger):
        """The session's cookie and the visit's are `__Host-`: Secure, HttpOnly, SameSite=Lax, for every path."""
        visit = cookie(stranger.get("/sign-in"), VISIT_COOKIE)
        session = cookie(stranger.sign_in("owner@pages.example", PASSWORD), SESSION_COOKIE)

        for header in (visit, session):
            parts = {part.strip().lower() for part in header.split(";")[1:]}
            assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
            assert not any(part.startswith("domain") for part in parts)

    def test_one_goes_on_where_one_wanted(self, stranger):
        """A page that asked to sign in is the page after it, with its query."""
        sent = stranger.get("/settings/sessions?a=1&b=2")
        assert sent.headers["location"] == "/sign-in?next=%2Fsettings%2Fsessions%3Fa%3D1%26b%3D2"
        form = stranger.follow(sent)
        assert 'name="next" value="/settings/sessions?a=1&amp;b=2"' in form.text
        answer = stranger.sign_in("owner@pages.example", PASSWORD, "/settings/sessions?a=1&b=2")

        assert answer.headers["location"] == "/settings/sessions?a=1&b=2"

    @pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/\\evil.example"])
    def test_nobody_is_sent_elsewhere(self, stranger, wanted):
        """Another origin as the next page is home, in the form and after it."""
        assert "evil" not in stranger.get(f"/sign-in?next={wanted}").text
        assert stranger.sign_in("owner@pages.example", PASSWORD, wanted).headers["location"] == "/"

    def test_a_wrong_password_keeps_what_was_typed(self, stranger):
        """The email stays, the password does not, and nothing says which was wrong."""
        answer = stranger.sign_in("wrong@pages.example", "not my password")

        assert answer.status == 401
        assert "do not belong together" in answer.said
        assert 'value="wrong@pages.example"' in answer.text
        assert "not my password" not in answer.text
        assert SESSION_COOKIE not in stranger.cookies

    def test_guessing_is_slowed(self, stranger):
        """After ten wrong passwords the page says to wait, for the right one too."""
        statuses = [stranger.sign_in("analyst@pages.example", "wrong password").status for _ in range(10)]
        answer = stranger.sign_in("analyst@pages.example", PASSWORD)

        assert statuses == [401] * 10
        assert answer.status == 429
        assert "Try again in 15 minutes" in answer.said

    def test_signing_in_again_is_another_session(self, sign_in):
        """The token is new with each sign-in, and the one before it ends."""
        visitor = sign_in("viewer")
        before = visitor.cookies[SESSION_COOKIE]
        token = visitor.get("/settings/profile").csrf
        visitor.ask(
            "POST", "/sign-in", f"csrf={token}&email=viewer%40pages.example&password={PASSWORD.replace(' ', '+')}"
        )

        assert visitor.cookies[SESSION_COOKIE] != before
        copied = Visitor(visitor.url, {SESSION_COOKIE: before})
        assert copied.get("/settings/profile").status == 303

    def test_signing_out_ends_it_everywhere(self, sign_in):
        """A copy of the cookie is worth nothing afterwards."""
        visitor = sign_in("viewer")
        copied = Visitor(visitor.url, dict(visitor.cookies))
        answer = visitor.send("/sign-out", of="/settings/profile")

        assert answer.headers["location"] == "/sign-in"
        assert SESSION_COOKIE not in visitor.cookies
        assert copied.get("/settings/profile").status == 303

    def test_a_cookie_that_is_no_session_is_nobodys(self, stranger):
        """A token that never was, and what is no token at all, lead to the sign-in page."""
        stranger.cookies[SESSION_COOKIE] = "exe_ses_" + "A" * 43
        assert stranger.get("/settings/profile").status == 303
        stranger.cookies[SESSION_COOKIE] = "'; drop table sessions"
        assert stranger.get("/settings/profile").status == 303

    def test_the_theme_is_remembered(self, owner):
        """Light and dark are a form, so they work without JavaScript, and what is neither is refused."""
        assert 'data-theme="system"' in owner.get("/settings/profile").text
        owner.send("/theme", {"theme": "dark", "back": "/settings/profile"}, of="/settings/profile")
        assert 'data-theme="dark"' in owner.get("/settings/profile").text
        assert owner.send("/theme", {"theme": "pink"}, of="/settings/profile").status == 400
        owner.send("/theme", {"theme": "system", "back": "/settings/profile"}, of="/settings/profile")


class TestFirstPerson:
    def link(self, server) -> str:
        """The link that a start printed."""
        return server.wait_for_line(r"Become the owner: \S+(/welcome/\S+)")[1]

    def test_the_first_start_prints_a_link_that_makes_the_owner(self, tmp_path: Path):
        """Each start prints another, the one before dies; it works once; then the start prints none any more."""
        installation = Installation(tmp_path)
        with running(installation.serve()) as server:
            first = self.link(server)
            assert Visitor(server.url).get(first).status == 200
        with running(installation.serve()) as server:
            second = self.link(server)
            visitor = Visitor(server.url)
            assert visitor.get(first).status == 404
            ada = {"email": "Ada@example.com", "name": "Ada"}
            bad = visitor.send(second, {**ada, "password": "password1234", "again": "password1234"})
            differs = visitor.send(second, {**ada, "password": PASSWORD, "again": "x"})
            made = visitor.send(second, {**ada, "password": PASSWORD, "again": PASSWORD})
            profile = visitor.get("/settings/profile")
            again = Visitor(server.url).get(second)
        with running(installation.serve()) as server:
            server.wait_for_line("server.ready")
            printed = server.log

        assert (bad.status, differs.status, made.status, again.status) == (400, 400, 303, 404)
        assert "too easy to guess" in bad.said
        assert 'value="Ada"' in bad.text
        assert re.search(r"ada@example.com .* owner", profile.said)
        assert "/welcome/" not in printed
        assert second.rpartition("/")[2].encode() not in (installation.data_dir / "execlave.db").read_bytes()

    def test_there_is_no_link_once_somebody_was_added(self, tmp_path: Path):
        """A person added on the command line ends the link too."""
        installation = Installation(tmp_path)
        with running(installation.serve()) as server:
            link = self.link(server)
            installation.run_json("user", "add", "ada@example.com", "--role", "owner", stdin=PASSWORD)

            assert Visitor(server.url).get(link).status == 404


class TestInvitations:
    def invite(self, owner: Visitor, email: str, role: str = "viewer") -> str:
        """The link for somebody."""
        made = owner.send("/settings/members/invite", {"email": email, "role": role})
        assert made.status == 201, made.said
        found = re.search(r"https://execlave\.example(/invite/[A-Za-z0-9_-]{43})", made.text)
        assert found
        return found[1]

    def test_a_link_makes_a_member_once(self, owner, stranger):
        """Whoever opens it chooses a password and is in, as what he was invited; nobody is twice."""
        link = self.invite(owner, "Grace@pages.example", "analyst")
        assert "grace@pages.example" in owner.get("/settings/members").said
        answers = {"name": "Grace", "password": PASSWORD, "again": PASSWORD, "email": "other@pages.example"}
        made = stranger.send(link, answers)
        profile = stranger.get("/settings/profile")

        assert made.status == 303
        assert re.search(r"grace@pages.example .* analyst", profile.said)
        assert Visitor(stranger.url).get(link).status == 404
        assert "Invited" not in owner.get("/settings/members").text
        again = owner.send("/settings/members/invite", {"email": "grace@pages.example", "role": "viewer"})
        assert again.status == 409
        assert "is a member already" in again.said

    def test_another_link_replaces_the_first(self, owner, stranger):
        """Inviting the same person again leaves one link that works; withdrawn, none."""
        first = self.invite(owner, "linus@pages.example")
        second = self.invite(owner, "linus@pages.example")
        assert [stranger.get(link).status for link in (first, second)] == [404, 200]
        page = owner.get("/settings/members")
        (withdraw,) = re.findall(r'action="(/settings/members/invitations/[^"]+)"', page.text)
        assert owner.send(withdraw, of="/settings/members").status == 303

        assert stranger.get(second).status == 404
        assert owner.send(withdraw, of="/settings/members").status == 404

    def test_a_link_that_never_was(self, stranger):
        """It looks like one that was used, and says what to do."""
        assert "Ask for a new one" in stranger.get("/welcome/nobody").said
        assert stranger.get("/invite/" + "A" * 43).status == 404
        assert stranger.get("/welcome/nobody").status == 404
