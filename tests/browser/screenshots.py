"""Pictures of every page at both widths and in both themes: `make screenshots`, or this with names of areas.

With `--docs` it makes the pictures that the documentation shows, and only those.
"""

import importlib
import pkgutil
import shutil
import sys
import tempfile
from itertools import product
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "service")]

import screens
from harness import Platform, start_platform
from playwright.sync_api import Browser, sync_playwright
from screens import Screen

from browsing import DESK, PHONE, sign_in_as
from execlave_server.web.routes import ROUTES
from visitor import add_people

FOLDER = ROOT / "screenshots"
WIDTHS = {"desk": DESK, "phone": PHONE}
THEMES = ("light", "dark")
SHOWN = {("watching", "trace"): "trace-page.png", ("watching", "incident"): "incident-page.png"}  # in docs/
SHOWN_BYTES_MAX = 150_000  # a README loads at once


def main(areas: list[str]) -> None:
    """Take them all, and say which pages of the route table have none."""
    for_docs = areas == ["--docs"]
    if for_docs:
        areas = [area for area, _ in SHOWN]
    chromium = shutil.which("chromium")
    assert chromium, "pictures need Chromium: apt-get install chromium"
    FOLDER.mkdir(exist_ok=True)
    names: dict[str, str] = {}
    wanted: dict[str, tuple[Screen, ...]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        start_platform(Path(folder)) as platform,
        sync_playwright() as playwright,
    ):
        add_people(platform)
        for found in pkgutil.iter_modules(screens.__path__):
            if areas and found.name not in areas:
                continue
            area = importlib.import_module(f"screens.{found.name}")
            wanted[found.name] = area.SCREENS
            if hasattr(area, "prepare"):
                area.prepare(platform, names)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if for_docs:
            take_for_docs(browser, platform, wanted, names)
        else:
            for theme, width in product(THEMES, WIDTHS):
                take(browser, platform, wanted, names, theme=theme, width=width)
        browser.close()
    if not areas:
        shown = {screen.path.partition("?")[0] for each in wanted.values() for screen in each}
        print("Pages without a picture:", sorted({r.path for r in ROUTES if r.method == "GET"} - shown))


def take(
    browser: Browser,
    platform: Platform,
    wanted: dict[str, tuple[Screen, ...]],
    names: dict[str, str],
    *,
    theme: str,
    width: str,
) -> None:
    """All screens in one theme at one width, each role signed in once."""
    contexts = {}
    for area, taken in wanted.items():
        for screen in taken:
            if screen.role not in contexts:
                contexts[screen.role] = browser.new_context(
                    base_url=platform.server.url, viewport=WIDTHS[width], color_scheme=theme
                )
                if screen.role:
                    sign_in_as(contexts[screen.role].new_page(), f"{screen.role}@pages.example")
            page = contexts[screen.role].new_page()
            page.goto(screen.path.format(**names))
            if screen.then:
                screen.then(page)
            path = FOLDER / f"{area}-{screen.name}-{width}-{theme}.png"
            page.screenshot(path=path, full_page=True)
            print(path.relative_to(ROOT))
            page.close()
    for context in contexts.values():
        context.close()


def take_for_docs(
    browser: Browser, platform: Platform, wanted: dict[str, tuple[Screen, ...]], names: dict[str, str]
) -> None:
    """What the documentation shows: the first screenful at the desk, light."""
    page = browser.new_page(base_url=platform.server.url, viewport=DESK, color_scheme="light")
    sign_in_as(page, "owner@pages.example")
    for (area, name), file in SHOWN.items():
        (screen,) = [screen for screen in wanted[area] if screen.name == name]
        page.goto(screen.path.format(**names))
        path = ROOT / "docs" / file
        page.screenshot(path=path)
        print(path.relative_to(ROOT), path.stat().st_size)
        assert path.stat().st_size < SHOWN_BYTES_MAX, f"{path} is too large"


if __name__ == "__main__":
    main(sys.argv[1:])
