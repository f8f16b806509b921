"""What tests in a real browser do again and again."""

from playwright.sync_api import Page

from visitor import PASSWORD

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def sign_in_as(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the form and be at home."""
    page.goto("/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def assert_fits(page: Page) -> None:
    """The page itself never scrolls sideways, whatever is on it."""
    page.wait_for_load_state("domcontentloaded")
    over = page.evaluate(TOO_WIDE)
    assert over <= 0, f"{page.url} is {over} px too wide"
