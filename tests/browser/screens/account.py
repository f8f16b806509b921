import re

from harness import Platform

from visitor import PASSWORD, Visitor

from . import Screen

KEYS = "/settings/keys"
MEMBERS = "/settings/members"


def prepare(platform: Platform, names: dict[str, str]) -> None:
    """Some members, keys and an invitation; `member` and `invitation` fill the paths."""
    installation = platform.installation
    for environment in ("prod", "stg"):
        installation.run_json("key", "create", "--name", f"checkout {environment}", "--environment", environment)
    gone = installation.run_json("key", "create", "--name", "old laptop")
    installation.run("key", "revoke", gone["id"])
    installation.run_json("user", "add", "gone@pages.example", "--role", "analyst", stdin=PASSWORD)
    installation.run("user", "disable", "gone@pages.example")
    names["member"] = next(
        each["id"] for each in installation.run_json("user", "list") if each["email"] == "analyst@pages.example"
    )
    owner = Visitor(platform.server.url)
    owner.sign_in("owner@pages.example", PASSWORD)
    made = owner.send(f"{MEMBERS}/invite", {"email": "grace@pages.example", "role": "approver"})
    names["invitation"] = re.search(r"/invite/([A-Za-z0-9_-]{43})", made.text)[1]


def _refused(page) -> None:
    page.get_by_label("Email").fill("ada@pages.example")
    page.get_by_label("Password").fill("not the one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()


def _created(page) -> None:
    page.get_by_label("Name").fill("a new one")
    page.get_by_role("button", name="Create the key").click()
    page.get_by_text("shown this once").wait_for()


def _bad_password(page) -> None:
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("password1234")
    page.get_by_label("New password again").fill("password1234")
    page.get_by_role("button", name="Change password").click()
    page.get_by_role("alert").wait_for()


SCREENS = (
    Screen("sign-in", "/sign-in", role=None),
    Screen("sign-in-refused", "/sign-in", role=None, then=_refused),
    Screen("invitation", "/invite/{invitation}", role=None),
    Screen("link-that-ended", "/welcome/ended", role=None),
    Screen("not-found", "/nothing"),
    Screen("forbidden", KEYS, role="analyst"),
    Screen("profile", "/settings/profile"),
    Screen("profile-refused", "/settings/profile", then=_bad_password),
    Screen("sessions", "/settings/sessions"),
    Screen("keys", KEYS),
    Screen("key-revoke", KEYS, then=lambda page: page.locator("details.confirm summary").first.click()),
    Screen("key-new", f"{KEYS}/new"),
    Screen("key-made", f"{KEYS}/new", then=_created),
    Screen("members", MEMBERS),
    Screen("members-admin", MEMBERS, role="admin"),
    Screen("member", f"{MEMBERS}/{{member}}"),
    Screen("member-invite", f"{MEMBERS}/invite"),
    Screen("organization", "/settings/organization"),
    Screen("menu", "/settings/profile", then=lambda page: page.locator(".person summary").click()),
)
