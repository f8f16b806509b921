"""The settings, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from browsing import DESK, PHONE, assert_fits

PAGES = ["/settings/profile", "/settings/sessions", "/settings/keys", "/settings/keys/new", "/settings/members",
         "/settings/members/invite", "/settings/organization", "/nothing"]  # fmt: skip


def test_a_revoked_session_signs_the_other_browser_out(signed_in):
    """Ending a session from one browser leaves the other at the sign-in page with its next click."""
    here, there = signed_in("approver"), signed_in("approver")
    here.goto("/settings/sessions")
    other = here.get_by_role("row").filter(has_not_text="this one").filter(has=here.get_by_role("button", name="End"))
    while other.count():
        other.first.get_by_role("button", name="End").click()
        expect(here.get_by_role("status")).to_contain_text("The session has ended")
    there.goto("/settings/profile")

    expect(there.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_the_list_of_sessions_follows_by_itself(signed_in):
    """A session that begins elsewhere appears without a reload, and a page left open notices its own end."""
    here = signed_in("analyst")
    here.goto("/settings/sessions")
    ends = here.get_by_role("button", name="End", exact=True)
    before = ends.count()
    there = signed_in("analyst")
    expect(ends).to_have_count(before + 1)
    there.goto("/settings/sessions")
    there.get_by_role("button", name="End all others").click()

    expect(here.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_key_is_shown_once(signed_in):
    """The key stands on the page after the form, can be copied, and on no page afterwards; revoking asks first."""
    page = signed_in("owner")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/settings/keys/new")
    page.get_by_label("Name").fill("browser test")
    page.get_by_label("Environment").select_option("dev")
    page.get_by_role("button", name="Create the key").click()
    key = page.locator(".secret code").inner_text()
    page.get_by_role("button", name="Copy the key").click()
    assert page.evaluate("navigator.clipboard.readText()") == key
    page.get_by_role("link", name="I have it").click()
    row = page.get_by_role("row").filter(has_text="browser test")
    expect(row).to_contain_text(key[-4:])
    assert key not in page.content()
    row.locator("summary").click()
    row.get_by_role("button", name="Revoke the key").click()

    expect(page.get_by_role("status")).to_contain_text("The key is revoked")
    expect(page.get_by_role("row").filter(has_text="browser test").locator("summary")).to_have_count(0)


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_a_viewer_is_shown_nothing_to_change(signed_in, script):
    """Who may only read sees neither the tabs nor the controls, and their addresses answer 403."""
    page = signed_in("viewer", java_script_enabled=script)
    page.goto("/settings")
    tabs = page.get_by_role("navigation", name="Settings").get_by_role("link")

    assert not {"API keys", "Members"} & set(tabs.all_inner_texts())
    page.goto("/settings/organization")
    expect(page.get_by_role("button", name="Save name")).to_have_count(0)
    for path in ("/settings/keys", "/settings/members", "/settings/members/invite"):
        answer = page.goto(path)
        assert answer
        assert answer.status == 403
        expect(page.locator("main")).to_contain_text("role viewer")


def test_the_theme_is_switched_without_script(without_script):
    """Dark is a button of a form, and stays."""
    page = without_script
    page.goto("/settings/profile")
    page.locator(".person summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/settings/sessions")

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_pages_fit(signed_in, viewport):
    """No page scrolls sideways."""
    page = signed_in("owner", viewport=viewport)
    for path in PAGES:
        page.goto(path)
        assert_fits(page)


def test_the_keyboard_goes_everywhere(owner):
    """`g s` opens the settings, the first Tab is the skip link, Escape closes a menu, and focus is seen."""
    owner.goto("/nothing")
    owner.keyboard.press("g")
    owner.keyboard.press("s")
    owner.wait_for_url(re.compile("/settings/profile$"))
    owner.keyboard.press("Tab")
    expect(owner.get_by_role("link", name="Skip to content")).to_be_focused()
    owner.keyboard.press("Enter")
    expect(owner.locator("main")).to_be_focused()
    owner.locator(".person summary").click()
    expect(owner.get_by_role("link", name="Sessions").first).to_be_visible()
    owner.keyboard.press("Escape")

    expect(owner.locator(".person .sheet")).to_be_hidden()
    expect(owner.locator(".person summary")).to_be_focused()
