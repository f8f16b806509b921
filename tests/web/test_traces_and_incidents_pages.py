"""The pages of traces and incidents, over plain HTTP."""

import csv
import io
import json
import re
from urllib.parse import quote, unquote, urlsplit

import pytest
from harness import wait_for

EVIL = """"><script>alert('x')</script><img src=x onerror=alert(1)>{{7*7}}&#60;b&#62;"""


@pytest.fixture(scope="module")
def blocked(platform) -> str:
    """The id of a trace that a policy stopped."""
    platform.server.agent.post("/api/v1/agents", {"agentId": "bot", "name": "Support Bot", "type": "chatbot"})
    policy = {
        "name": "No wiping",
        "policyType": "access_control",
        "enforcementMode": "block",
        "ruleDefinition": {"denied_tools": ["wipe_*"]},
    }
    assert platform.server.admin.post("/api/v1/policies", policy).status == 201
    assert platform.server.agent.enforce("bot", tools=["wipe_disk"]).status == 403
    return platform.server.admin.get("/api/v1/traces?status=policy_blocked").data[0]["traceId"]


@pytest.fixture
def incident(platform, blocked) -> str:
    """The id of the incident that the server opened on it."""

    def look() -> str | None:
        found = platform.server.admin.get(f"/api/v1/traces/{blocked}").data["incidents"]
        return found[0]["id"] if found else None

    return wait_for(look, "an incident")


def span(trace_id: str, span_id: str, parent: str | None = None, **more) -> dict:
    """A span as the SDK sends it."""
    metadata = {"spanId": span_id, "parentSpanId": parent, "spanName": more.pop("name", span_id)}
    return {"traceId": trace_id, "agentId": "bot", "status": "success", "metadata": metadata, **more}


class TestList:
    def test_a_filter_stands_in_the_address(self, owner, blocked):
        """The filter of an address narrows the table, fills the form, and is kept by the download."""
        page = owner.get("/traces?status=policy_blocked&agent=bot&query=wipe_disk")
        rows = list(csv.DictReader(io.StringIO(owner.get("/traces.csv?status=policy_blocked&agent=bot").text)))

        assert page.status == 200
        assert f"/traces/{blocked}" in page.text
        assert re.search(r'name="status" value="policy_blocked" checked', page.text)
        assert 'value="wipe_disk"' in page.text
        assert {row["status"] for row in rows} == {"policy_blocked"}
        assert blocked in {row["trace_id"] for row in rows}

    def test_what_cannot_be_meant_is_told_and_kept(self, owner):
        """A filter that is wrong is answered 400 with what was typed."""
        page = owner.get("/traces?from=yesterday&agent=bot")

        assert page.status == 400
        assert "must be a time" in page.said
        assert 'value="bot"' in page.text

    def test_a_search_that_cannot_be_read_is_marked(self, owner):
        """What cannot be read is told with its place, marked in what was typed, and kept; the download says it too."""
        page = owner.get("/traces?query=refund+@status:(error&agent=bot")

        assert page.status == 400
        assert "at character 16" in page.said
        assert "refund @status:<mark>(</mark>error" in page.text
        assert 'value="refund @status:(error"' in page.text
        assert owner.get("/traces.csv?query=@status:(error").status == 400

    def test_the_same_search_by_page_and_api(self, platform, owner, blocked):
        """What the page finds, the API finds, and so does the search of logs."""
        query = "query=@execlave.status:policy_blocked+wipe_disk"
        listed, found = (platform.server.admin.get(f"/api/v1/traces{way}?{query}").data for way in ("", "/search"))

        assert [each["traceId"] for each in listed] == [each["traceId"] for each in found]
        assert blocked in [each["traceId"] for each in found]
        assert f"/traces/{blocked}" in owner.get(f"/traces?{query}").text

    @pytest.mark.usefixtures("blocked")
    def test_nothing_found_says_what_to_do(self, owner):
        """An empty list offers the way back."""
        assert "No trace matches" in owner.get("/traces?agent=nobody").said

    def test_a_formula_is_a_text_in_the_download(self, platform, owner):
        """A name that a spreadsheet would compute does nothing there."""
        platform.server.agent.ingest(span("formula", "s1", name="=HYPERLINK(1)", agentId="@sum"))
        [row] = csv.DictReader(io.StringIO(owner.get("/traces.csv?query=*:hyperlink").text))

        assert (row["span_name"], row["agent_id"]) == ("'=HYPERLINK(1)", "'@sum")


class TestTrace:
    def test_a_block_says_everything(self, owner, blocked):
        """Which policy, rule and version, the digest, the evidence, the delivery, the way to Datadog."""
        page = owner.get(f"/traces/{blocked}")

        for word in ("policy blocked", "No wiping", "version 1", "denied", "Action digest", "verified", "leaf"):
            assert word in page.said, word
        link = re.search(r'href="([^"]+/logs\?[^"]+)"', page.text)
        assert f"source:execlave @execlave.trace_id:{blocked}" in unquote(link[1].replace("+", " "))

    def test_the_link_of_a_log_leads_to_its_span(self, platform, owner):
        """`execlave.trace_url` in the sandbox's log opens the page, with the span of that log marked."""
        platform.server.agent.ingest(span("a/b c?", "root"), span("a/b c?", "leaf ü", "root"))
        [log] = platform.sandbox.wait_for_logs(lambda log: log["execlave"].get("span_id") == "leaf ü", 1)
        address = urlsplit(log["execlave"]["trace_url"])
        page = owner.get(f"{address.path}?{address.query}")

        assert page.status == 200
        assert re.search(r'<li class="l1 own here">', page.text)
        assert page.text.index(">root</a>") < page.text.index(">leaf ü</a>")

    def test_foreign_and_unknown_are_alike(self, platform, owner):
        """A trace of another organization is the same page as one that never was."""
        other = platform.installation.run_json("org", "create", "Other")["id"]
        key = platform.installation.run_json("key", "create", "--org", other, "--role", "agent")["apiKey"]
        platform.server.anyone.with_key(key).ingest(span("theirs", "s"))
        foreign, unknown = owner.get("/traces/theirs"), owner.get("/traces/nobody")

        assert (foreign.status, unknown.status) == (404, 404)
        assert foreign.said.replace("theirs", "ID") == unknown.said.replace("nobody", "ID")

    def test_content_is_shown_on_request_and_recorded(self, platform, sign_in, owner):
        """Input and output come only after asking, long ones folded, and the audit log says who looked."""
        trace = span("content", "s1", input="the question " * 200, output={"answer": EVIL})
        platform.server.agent.ingest(trace)
        before, after = owner.get("/traces/content"), owner.send("/traces/content/content", of="/traces/content")
        viewer = sign_in("viewer")
        entries = platform.server.admin.get("/api/v1/audit?kind=trace.content_read&limit=1000").data

        assert "the question" not in before.said
        assert "the question" in after.said
        assert "<script>alert" not in after.text
        assert re.search(r"<details><summary><strong>Input</strong>", after.text)
        assert [entry["subject"] for entry in entries].count("trace:content") == 1
        assert entries[-1]["actor"].startswith("person:")
        assert "traces.content" in viewer.get("/traces/content").said
        assert viewer.send("/traces/content/content", of="/traces/content").status == 403

    def test_hostile_texts_are_texts(self, platform, owner):
        """Whatever an agent calls itself, its spans, errors, sessions or tags, the page shows it and runs nothing."""
        platform.server.agent.post("/api/v1/agents", {"agentId": EVIL[:100], "name": EVIL, "type": "chatbot"})
        evil = span(
            EVIL, EVIL, name=EVIL, agentId=EVIL[:100], status="error", errorType=EVIL, errorMessage=EVIL,
            sessionId=EVIL, userId=EVIL, modelName=EVIL, environment=EVIL, tags=[EVIL], input=EVIL, spanType=EVIL,
        )  # fmt: skip
        evil["metadata"]["note"] = EVIL
        platform.server.agent.ingest(evil)
        flagged = {**evil, "status": "flagged_for_review", "metadata": {**evil["metadata"], "spanId": "other"}}
        platform.server.agent.ingest(flagged)
        path = f"/traces/{quote(EVIL, safe='')}"
        wait_for(lambda: platform.server.admin.get(f"/api/v1{path}").data["incidents"], "an incident")
        [incident] = platform.server.admin.get(f"/api/v1{path}").data["incidents"]
        paths = ["/traces", path, "/incidents", f"/incidents/{incident['id']}"]
        pages = [owner.get(each) for each in paths] + [owner.send(f"{path}/content", of=path)]

        for page in pages:
            assert page.status == 200, page.said
            assert "<script>alert" not in page.text
            assert "<img src=x" not in page.text
            assert "49" not in re.sub(r"\d{2,}", "", page.said) or "{{7*7}}" in page.said

    def test_the_evidence_downloads(self, owner, sign_in, blocked):
        """The file is what the API gives; a viewer does not get it."""
        answer = owner.get(f"/traces/{blocked}/evidence")

        assert answer.headers["content-disposition"].startswith("attachment")
        assert json.loads(answer.body)["format"] == "execlave-evidence"
        assert sign_in("viewer").get(f"/traces/{blocked}/evidence").status == 403

    def test_a_resolution_is_added(self, platform, owner, sign_in):
        """What became known later stands beside the trace; a viewer cannot add it."""
        platform.server.agent.ingest(span("unsure", "s1", status="effect_unconfirmed"))
        fields = {"resolved_status": "success", "basis": "manual", "detail": "It did arrive."}
        page = owner.follow(owner.send("/traces/unsure/resolution", fields, of="/traces/unsure"))

        assert "It did arrive." in page.said
        assert sign_in("viewer").send("/traces/unsure/resolution", fields, of="/traces/unsure").status == 403
        assert owner.send("/traces/unsure/resolution", {"resolved_status": "x"}, of="/traces/unsure").status == 400


class TestIncidents:
    def test_from_open_to_resolved(self, platform, sign_in, incident):
        """Each step is a form, and stands in the timeline; a refused one keeps what was typed."""
        ada = sign_in("approver")
        path = f"/incidents/{incident}"
        assert "No wiping" in ada.get("/incidents").said
        ada.send(f"{path}/acknowledge", of=path)
        people = re.findall(r'<option value="(usr_[^"]+)"', ada.get(path).text)
        ada.send(f"{path}/assign", {"assignee": people[0]}, of=path)
        ada.send(f"{path}/comment", {"text": "I am on <b>it</b>."}, of=path)
        refused = ada.send(f"{path}/resolve", {"resolve_reason": "x" * 4_001}, of=path)
        contained = ada.follow(ada.send(f"{path}/contain", {"contain_reason": "It wipes disks."}, of=path))
        stopped = platform.server.agent.enforce("bot")
        platform.server.admin.patch("/api/v1/agents/bot/resume", {})
        resolved = ada.follow(ada.send(f"{path}/resolve", {"resolve_reason": "The prompt was mended."}, of=path))

        assert refused.status == 400
        assert "x" * 4_001 in refused.text
        assert "the agent was paused" in contained.said
        assert stopped.status == 403
        for word in ("Acknowledged", "Assigned to", "I am on <b>it</b>.", "It wipes disks.", "The prompt was mended."):
            assert word in resolved.said, word
        assert ada.send(f"{path}/resolve", {"resolve_reason": "again"}, of=path).status == 409
        assert ada.follow(ada.send(f"{path}/reopen", {"reopen_reason": "It is back."}, of=path)).status == 200

    def test_one_is_opened_on_a_trace(self, platform, owner):
        """A person opens one where nothing did by itself; a second time is told where it is."""
        platform.server.agent.ingest(span("odd", "s1"))
        fields = {"severity": "critical", "reason": "Looks odd."}
        page = owner.follow(owner.send("/traces/odd/incident", fields, of="/traces/odd"))

        assert "Looks odd." in page.said
        assert "critical" in page.said
        assert owner.send("/traces/odd/incident", fields, of="/traces/odd").status == 409

    def test_downloads(self, owner, sign_in, incident):
        """The list as CSV and JSON, and the bundle of one; who may not read the audit does not get the bundle."""
        rows = list(csv.DictReader(io.StringIO(owner.get("/incidents.csv").text)))
        listed = json.loads(owner.get("/incidents.json?state=all").body)
        bundle = json.loads(owner.get(f"/incidents/{incident}/evidence").body)

        assert incident in {row["id"] for row in rows} == {each["id"] for each in listed}
        assert bundle["format"] == "execlave-incident"
        assert not any("salt" in each for each in listed)
        assert sign_in("viewer").get(f"/incidents/{incident}/evidence").status == 403

    def test_a_viewer_sees_no_forms(self, sign_in, incident):
        """What cannot be done is not offered, and refused where it is tried."""
        viewer = sign_in("viewer")
        page = viewer.get(f"/incidents/{incident}")

        assert "What to do" not in page.said
        assert viewer.send(f"/incidents/{incident}/acknowledge", of="/settings/sessions").status == 403

    def test_foreign_and_unknown_are_alike(self, owner):
        """An incident that is not there is a 404."""
        assert owner.get("/incidents/nobody").status == 404
