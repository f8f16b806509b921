"""Signing in, in a real browser."""

import re
from pathlib import Path

import pytest
from harness import Installation, running
from playwright.sync_api import Page, expect

from browsing import PHONE, assert_fits, sign_in_as
from execlave_server.web.cookies import SESSION_COOKIE
from visitor import PASSWORD


def session_cookie(page: Page) -> dict:
    """The session's cookie as the browser holds it."""
    (cookie,) = [each for each in page.context.cookies() if each["name"] == SESSION_COOKIE]
    return cookie


def test_a_session_on_plain_http_loopback(page):
    """Chromium keeps the Secure, HttpOnly `__Host-` cookie of a loopback address over plain HTTP."""
    sign_in_as(page, "owner@pages.example")
    cookie = session_cookie(page)

    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    assert page.evaluate("document.cookie") == ""


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_the_first_person_comes_in_by_the_link(tmp_path: Path, browser, script):
    """The link that the start printed makes the owner and signs him in; a second time it is nothing."""
    installation = Installation(tmp_path)
    with running(installation.serve()) as server:
        link = server.wait_for_line(r"Become the owner: (\S+)")[1]
        page = browser.new_context(java_script_enabled=script, viewport=PHONE).new_page()
        page.goto(link)
        page.get_by_label("Name").fill("Ada")
        page.get_by_label("Email").fill("ada@example.com")
        page.get_by_label("Password", exact=True).fill("password1234")
        page.get_by_label("Password again").fill("password1234")
        page.get_by_role("button", name="Make me the owner").click()
        expect(page.get_by_role("alert")).to_contain_text("a guesser tries")
        expect(page.get_by_label("Email")).to_have_value("ada@example.com")
        assert_fits(page)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Make me the owner").click()
        page.locator("summary", has_text="Ada").click()
        expect(page.locator(".person .sheet")).to_contain_text("owner of default")
        page.goto(link)
        expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
        page.context.close()


def test_a_wrong_password_and_then_the_right_one(page):
    """The page says that it was wrong without saying what, keeps the email, and then lets in."""
    page.goto("/settings/sessions")
    page.get_by_label("Email").fill("viewer@pages.example")
    page.get_by_label("Password").fill("not the one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("Email")).to_have_value("viewer@pages.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    page.wait_for_url(re.compile("/settings/sessions$"))


def test_who_guesses_is_told_to_wait(page):
    """After ten wrong passwords even the right one is refused, with how long."""
    page.goto("/sign-in")
    for password in [*["guess"] * 10, PASSWORD]:
        page.get_by_label("Email").fill("nobody@pages.example")
        page.get_by_label("Password").fill(password)
        with page.expect_response("**/sign-in") as answered:
            page.get_by_role("button", name="Sign in").click()

    assert answered.value.status == 429
    expect(page.get_by_role("alert")).to_contain_text("Try again in 15 minutes")


@pytest.mark.parametrize("wanted", ["//evil.example/", "https://evil.example/", "/\\evil.example", "/%09/evil.example"])
def test_one_stays_on_this_origin(page, platform, wanted):
    """Whatever a link says is next, the browser ends up here."""
    page.goto(f"/sign-in?next={wanted}")
    page.get_by_label("Email").fill("viewer@pages.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile("/(settings/profile|overview)$|evil"))

    assert page.url.startswith(platform.server.url)


def test_a_form_without_the_token_is_refused(signed_in):
    """A form whose token was taken out does nothing and says what to do."""
    page = signed_in("viewer")
    page.goto("/settings/profile")
    page.evaluate("document.querySelector('form[action=\"/settings/profile/name\"] [name=csrf]').remove()")
    page.get_by_label("Name").fill("Mallory")
    page.get_by_role("button", name="Save name").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Not allowed")
    expect(page.locator(".problem")).to_contain_text("load the page anew")
    page.goto("/settings/profile")
    expect(page.get_by_label("Name")).not_to_have_value("Mallory")


def test_another_sites_form_is_refused(signed_in, platform):
    """A page of another origin that posts here with the browser's cookies changes nothing."""
    page = signed_in("viewer")
    other = platform.server.url.replace("127.0.0.1", "localhost")
    page.route(
        f"{other}/evil",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<form method=post action='{platform.server.url}/sign-out'><button>win</button></form>",
        ),
    )
    page.goto(f"{other}/evil")
    page.get_by_role("button").click()
    page.wait_for_url(lambda url: "localhost" not in url)  # Lax kept the cookie back: there was nobody to sign out
    page.goto("/settings/profile")

    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")


def test_signing_out(without_script):
    """Signing out works without JavaScript, and the way back shows nothing."""
    page = without_script
    page.locator(".person summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile("/sign-in$"))
    page.go_back()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
