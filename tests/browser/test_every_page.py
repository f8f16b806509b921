"""What holds for every page of the route table, with things on it, in a real Chromium.

Axe finds no serious fault, the content security policy is never broken, and nothing scrolls sideways.
"""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
import screens
from harness import start_platform

from browsing import DESK, PHONE, TOO_WIDE, sign_in_as
from execlave_server.web.routes import ROUTES
from tenant_routes import PAGES
from tenants import OURS, filled, found_tenants
from visitor import forgive_attempts

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = {"serious", "critical"}
DOWNLOADS = {
    "/audit/head", "/audit/export", "/audit/evidence", "/incidents.csv", "/incidents.json", "/traces.csv",
    "/incidents/{incident}/evidence", "/traces/{trace:trace}/evidence",
}  # fmt: skip
GET_PAGES = [route.path for route in ROUTES if route.method == "GET" and route.path not in DOWNLOADS]
LEAD_ON = {"/", "/settings"}  # to another page
BEFORE_SIGN_IN = {"/sign-in", "/welcome/{token}", "/invite/{token}"}
WATCH = """
window.brokenPolicies = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.brokenPolicies.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


@pytest.fixture(scope="module")
def tenants(tmp_path_factory):
    """An organization with one of everything."""
    with start_platform(tmp_path_factory.mktemp("everything")) as started:
        made = found_tenants(started)
        forgive_attempts(started)
        yield made


@pytest.fixture(scope="module")
def axe() -> str:
    """The text of axe."""
    assert AXE.exists(), "axe-core is not there: cd tests/browser && npm ci (make test-browser does it)"
    return AXE.read_text()


def address(path: str, tenants) -> str:
    """The page's address as the example of its route names it."""
    return filled(PAGES[f"GET {path}"].path, tenants.names)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_every_page_is_for_everybody(open_browser_at, tenants, axe, viewport, theme):
    """In both themes, at both widths: no serious or critical fault of axe's, no broken policy, no sideways scroll."""
    context = open_browser_at(tenants.ours.api.url, viewport=viewport, color_scheme=theme)
    context.add_init_script(WATCH)
    page = context.new_page()
    faults: list[str] = []

    def judge(path: str) -> None:
        answer = page.goto(address(path, tenants))
        assert answer
        wanted = {404} if path.startswith("/welcome") else {200}
        assert answer.status in wanted, (path, answer.status)
        page.evaluate(axe)  # by the debugger, which the policy of the page does not hold
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        faults.extend(
            f"{path}: {each['id']}: {node['html'][:150]} {node['failureSummary'][:200]}"
            for each in found["violations"]
            if each["impact"] in SERIOUS
            for node in each["nodes"][:3]
        )
        faults.extend(f"{path}: policy: {each}" for each in page.evaluate("window.brokenPolicies"))
        if over := page.evaluate(TOO_WIDE):
            faults.append(f"{path}: {over} px too wide")

    for path in sorted(BEFORE_SIGN_IN):
        judge(path)
    sign_in_as(page, OURS)
    for path in GET_PAGES:
        if path not in BEFORE_SIGN_IN:
            judge(path)

    assert faults == []


def test_every_page_has_a_picture():
    """`make screenshots` takes each of them."""
    areas = [importlib.import_module(f"screens.{found.name}") for found in pkgutil.iter_modules(screens.__path__)]
    shown = [screen.path.partition("?")[0] for area in areas for screen in area.SCREENS]

    def is_shown(path: str) -> bool:
        pattern = re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path)))
        return any(pattern.fullmatch(each) for each in shown)

    assert {path for path in GET_PAGES if path not in LEAD_ON and not is_shown(path)} == set()


def test_every_page_is_looked_at():
    """What is not a page to look at is a file to download, and the table above knows each."""
    assert {path for path in GET_PAGES if re.search(r"\.(csv|json)$|evidence$|export$|head$", path)} == set()
    assert {route.path for route in ROUTES} >= DOWNLOADS | BEFORE_SIGN_IN
