"""Whatever agents, clients and people write is text on every page: nothing of it runs, and all of it can be read."""

import json
import re
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from harness import DATADOG_KEY, start_platform, wait_for

from browsing import sign_in_as
from execlave_server.web.routes import ROUTES
from hostile_texts import HOSTILE
from visitor import PASSWORD, Visitor, forgive_attempts

OWNER = "ada@hostile.example"
BROKEN = "() => window.broken !== undefined || document.querySelector('main') === null"
ODD = re.compile(r"[\s\u202a-\u202e\u2066-\u2069]+")  # blanks are folded, and marks of direction are not seen


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An installation of its own."""
    with start_platform(tmp_path_factory.mktemp("hostile")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(house) -> dict[str, str]:
    """The addresses of what was written, by the place that each text was written in."""
    installation, admin = house.installation, house.server.admin
    added = ("user", "add", OWNER, "--role", "owner", "--name", HOSTILE[0])
    installation.run_json(*added, stdin=PASSWORD + "\n")
    addresses: dict[str, str] = {}
    for number, text in enumerate(HOSTILE):
        trace = f"{number}: {text}"
        item: dict[str, Any] = {
            "traceId": trace,
            "agentId": text,
            "environment": text[:60],
            "status": "error",
            "errorType": text,
            "errorMessage": text,
            "input": text,
            "output": {text: text},
            "sessionId": text,
            "userId": text,
            "modelName": text,
            "tags": [text],
            "metadata": {"spanId": f"span {text}", "spanName": text, text: text, "nested": {text: [text]}},
        }
        taken = admin.ingest(item)
        assert taken.status == 202, taken.body
    for text in HOSTILE:
        agent = {"agentId": f"agent {text}", "name": text, "type": "custom", "environment": "production"}
        made = admin.post("/api/v1/agents", {**agent, "description": text, "ownerEmail": "a@b.example"})
        assert made.status < 300, made.body
        policy = {
            "name": f"{uuid.uuid4().hex[:4]} {text}",
            "policyType": "access_control",
            "enforcementMode": "block",
            "ruleDefinition": {"denied_tools": [f"tool {text}"]},
        }
        made = admin.post("/api/v1/policies", policy)
        assert made.status < 300, made.body
    first = admin.get("/api/v1/agents?limit=1").data[0]
    addresses["agent"] = f"/agents/{first['id']}"
    addresses["policy"] = f"/policies/{admin.get('/api/v1/policies').data[0]['id']}"
    reasons(house, addresses, first)
    people(house, addresses)
    return addresses


def reasons(house, addresses: dict[str, str], agent: dict[str, Any]) -> None:
    """Texts of whoever governs: a reason, a comment, what was asked and why it was denied."""
    admin = house.server.admin
    for text in HOSTILE[:6]:
        for verb in ("pause", "resume"):
            assert admin.patch(f"/api/v1/agents/{agent['id']}/{verb}", {"reason": text}).status == 200
    asks = {
        "name": HOSTILE[0],
        "policyType": "action_approval",
        "enforcementMode": "require_approval",
        "ruleDefinition": {"tools": ["refund*"]},
    }
    admin.post("/api/v1/policies", asks)
    approval = ""
    for text in HOSTILE:
        asked = admin.enforce(f"asking {text}", tools=[f"refund {text}"], environment="production", input=text)
        assert asked.status == 202, asked.body
        approval = json.loads(asked.body)["approvalRequestId"]
        blocked = admin.enforce(f"agent {text}", tools=[f"tool {text}"], environment="production", input=text)
        assert blocked.status == 403, blocked.body
    addresses["approval"] = f"/approvals/{approval}"
    found = wait_for(lambda: admin.get("/api/v1/incidents").data, "incidents")
    step = f"/api/v1/incidents/{found[0]['id']}"
    for text in HOSTILE:
        assert admin.post(f"{step}/comment", {"text": text}).status == 200
    assert admin.post(f"{step}/resolve", {"reason": HOSTILE[1]}).status == 200
    addresses["incident"] = f"/incidents/{found[0]['id']}"


def people(house, addresses: dict[str, str]) -> None:
    """Names of people, keys, the organization and a destination, and an address that is one by the letter."""
    installation = house.installation
    for number, text in enumerate(HOSTILE[:8]):
        added = ("user", "add", f"person{number}@hostile.example", "--role", "viewer", f"--name={text}")
        installation.run_json(*added, stdin=PASSWORD + "\n")
    odd = ("user", "add", "<b>'x'</b>@hostile.example", "--role", "viewer")
    installation.run(*odd, stdin=PASSWORD + "\n")  # taken or refused, but never run
    forgive_attempts(house)
    owner = Visitor(house.server.url)
    owner.sign_in(OWNER, PASSWORD)
    for text in HOSTILE:
        owner.send("/settings/keys/new", {"name": text, "role": "agent", "environment": "dev"})
    owner.send("/settings/organization", {"name": HOSTILE[0]})
    draft = {"name": HOSTILE[0], "site": "sandbox", "apiKey": DATADOG_KEY[::-1], "service": HOSTILE[0]}
    made = house.server.admin.post("/api/v1/integrations", draft)
    listed = house.server.admin.get("/api/v1/integrations").data
    addresses["destination"] = f"/settings/integrations/{(made.data if made.status < 300 else listed[0])['id']}"


@pytest.fixture
def reader(open_browser_at, house, pages):  # noqa: ARG001 - what was written has to be there
    """Somebody who may see everything, in a browser that tells of a dialog."""
    forgive_attempts(house)
    context = open_browser_at(house.server.url)
    page = context.new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    sign_in_as(page, OWNER)
    yield page
    assert dialogs == []


def assert_text_alone(page) -> None:
    """Nothing ran, nothing loaded from elsewhere, and the frame of the page is whole."""
    assert not page.evaluate(BROKEN), page.url
    assert page.locator("main").count() == 1, page.url
    assert page.locator("main script, main iframe, main base, main meta, main style, main link").count() == 0, page.url
    assert page.locator("main img, main video, main audio, main math, main template, plaintext").count() == 0, page.url
    odd = page.evaluate(
        "[...document.querySelectorAll('main a[href], main form[action], main button[formaction]')]"
        ".map((e) => e.getAttribute('href') ?? e.getAttribute('action') ?? e.getAttribute('formaction'))"
        ".filter((to) => /^(javascript|data|vbscript):/i.test(to.trim()))"
    )
    assert odd == [], page.url


def seen(text: str) -> str:
    """A text as it is compared: without blanks and marks that cannot be seen."""
    return ODD.sub("", text)


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=[f"{i:02}" for i in range(len(HOSTILE))])
def test_a_trace_of_hostile_texts(reader, number):
    """The page of a trace shows each text as it was written: in id, agent, span, error, input, output, metadata."""
    text = HOSTILE[number]
    reader.goto("/traces/" + quote(f"{number}: {text}", safe=""))
    assert_text_alone(reader)
    reader.get_by_role("button", name="Show input and output").click()
    assert_text_alone(reader)
    shown = seen(reader.locator("main").text_content() or "")
    assert seen(f"{number}: {text}") in shown
    assert shown.count(seen(text)) >= 5


@pytest.mark.parametrize("place", ["agent", "policy", "approval", "incident", "destination"])
def test_a_page_about_one_thing(reader, pages, place):
    """The page of one agent, policy, approval, incident and destination."""
    reader.goto(pages[place])
    assert_text_alone(reader)
    shown = seen(reader.locator("body").text_content() or "")

    assert any(seen(text) in shown for text in HOSTILE)


LISTS = [route.path for route in ROUTES if route.method == "GET" and "{" not in route.path]


@pytest.mark.parametrize(
    "path", [path for path in LISTS if not re.search(r"\.(csv|json)$|evidence$|export$|head$|sign-in$", path)]
)
def test_every_list(reader, path):
    """Every page of the route table that names nothing, with the texts on it where it lists anything."""
    reader.goto(path)
    assert_text_alone(reader)
    assert seen(HOSTILE[0]) in seen(reader.locator("header").first.text_content() or "")  # person and organization


@pytest.mark.parametrize("text", HOSTILE[::6])
def test_what_is_typed_comes_back_as_text(reader, text):
    """A search, and a form that is refused, show what was typed as it was typed."""
    for path in ("/traces?query=", "/traces?agent=", "/agents?q=", "/audit?subject=", "/incidents?state=", "/nothing/"):
        reader.goto(path + quote(text, safe=""))
        assert_text_alone(reader)
    reader.goto("/settings/integrations/new")
    reader.get_by_label("site", exact=True).fill(text.replace("\n", " "))
    reader.get_by_label("apiKey", exact=True).fill("x")
    reader.get_by_label("Name", exact=True).fill("Typed")
    reader.get_by_role("button", name="Add and test connection").click()
    assert_text_alone(reader)

    assert seen(reader.get_by_label("site", exact=True).input_value()) == seen(text)
