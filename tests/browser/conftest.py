"""A real Chromium on the pages of a real server; a complaint in its console fails the test."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from harness import Platform, start_platform
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from browsing import DESK, PHONE, sign_in_as
from visitor import add_people, forgive_attempts

WITHIN_MS = 30_000
_EXPECTED = "Failed to load resource"  # the console's line for an answer that is no 2xx, as a test of a refusal gets

Open = Callable[..., BrowserContext]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a browser."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running installation with one person of each role."""
    with start_platform(tmp_path_factory.mktemp("pages")) as started:
        add_people(started)
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    chromium = shutil.which("chromium")
    assert chromium, "these tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_browser_at(browser: Browser) -> Iterator[Open]:
    """Opens a browser of its own (cookies, size, with or without JavaScript) and watches what it complains of."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(_EXPECTED):
            complaints.append(message.text)

    def watch(page: Page) -> None:
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))

    def open_one(base_url: str, **options: object) -> BrowserContext:
        context = browser.new_context(base_url=base_url, **{"viewport": DESK, **options})
        context.set_default_timeout(WITHIN_MS)
        context.on("page", watch)
        contexts.append(context)
        return context

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def open_browser(open_browser_at: Open, platform: Platform) -> Open:
    """The same, at the installation that most tests share."""
    return partial(open_browser_at, platform.server.url)


@pytest.fixture
def page(open_browser: Open, platform: Platform) -> Page:
    """A page of somebody who is not signed in."""
    forgive_attempts(platform)
    return open_browser().new_page()


@pytest.fixture
def signed_in(open_browser: Open, platform: Platform) -> Callable[..., Page]:
    """Opens a page of somebody of a role: `signed_in("viewer", java_script_enabled=False, viewport=PHONE)`."""

    def sign_in(role: str = "owner", **options: object) -> Page:
        forgive_attempts(platform)
        page = open_browser(**options).new_page()
        sign_in_as(page, f"{role}@pages.example")
        return page

    return sign_in


@pytest.fixture
def owner(signed_in: Callable[..., Page]) -> Page:
    """A page of an owner."""
    return signed_in("owner")


@pytest.fixture
def without_script(signed_in: Callable[..., Page]) -> Page:
    """A page of an owner whose browser runs no JavaScript."""
    return signed_in("owner", java_script_enabled=False)


@pytest.fixture
def at_phone(signed_in: Callable[..., Page]) -> Page:
    """A page of an owner on a phone 360 px wide."""
    return signed_in("owner", viewport=PHONE)
