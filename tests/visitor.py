"""Somebody at the pages over plain HTTP: a browser's cookies and forms without a browser."""

import http.client
import re
from contextlib import closing
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

from harness import WITHIN_S, Platform

from execlave_server.model.people import PersonRole

PASSWORD = "correct horse battery"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True)
class Seen:
    """A page as it came. `cookies` are those that it set, as they stood in the header."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str]

    @property
    def text(self) -> str:
        """The HTML."""
        return self.body.decode()

    @property
    def said(self) -> str:
        """The words of the page, without the marks."""
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.text)))

    @property
    def csrf(self) -> str:
        """The token of the page's forms."""
        found = _CSRF.search(self.text)
        assert found, self.text
        return found[1]


@dataclass
class Visitor:
    """Keeps cookies as a browser does, but sends the Secure ones to loopback."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Seen:
        """One request; redirects are shown, not followed."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        if body is not None:
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=WITHIN_S)
        with closing(connection):
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            set_cookies = response.headers.get_all("set-cookie") or []
            seen = Seen(
                response.status,
                {name.lower(): text for name, text in response.getheaders()},
                response.read(),
                set_cookies,
            )
        for header in set_cookies:
            for name, morsel in SimpleCookie(header).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return seen

    def get(self, path: str, **headers: str) -> Seen:
        """Look at a page."""
        return self.ask("GET", path, **headers)

    def send(self, path: str, fields: dict[str, str] | None = None, *, of: str | None = None, **headers: str) -> Seen:
        """Send a form with the token of a page (`of`, else the same path), as a browser would."""
        token = self.get(of or path).csrf
        return self.ask("POST", path, urlencode({**(fields or {}), "csrf": token}), **headers)

    def follow(self, seen: Seen) -> Seen:
        """The page that an answer leads to."""
        assert seen.status == 303, (seen.status, seen.said)
        return self.get(seen.headers["location"])

    def sign_in(self, email: str, password: str, next_path: str = "/") -> Seen:
        """Sign in; what came back."""
        fields = {"email": email, "password": password, "next": next_path}
        return self.send("/sign-in", fields)


def forgive_attempts(platform: Platform) -> None:
    """Forget how often this machine signed in: all tests share one address, which may only so often."""
    platform.installation.rows("delete from sign_in_attempts")


def add_people(platform: Platform) -> None:
    """One person of each role in the installation's organization: `owner@pages.example` and so on."""
    for role in PersonRole:
        email = f"{role}@pages.example"
        platform.installation.run_json(
            "user", "add", email, "--role", role, "--name", role.title(), stdin=PASSWORD + "\n"
        )
