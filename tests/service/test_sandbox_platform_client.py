"""The sandbox's search, monitors and configuration as Datadog's own Python client meets them."""

from collections.abc import AsyncIterator

import pytest
from datadog_api_client.exceptions import ApiException
from datadog_api_client.v1.api.dashboards_api import DashboardsApi
from datadog_api_client.v1.api.logs_pipelines_api import LogsPipelinesApi
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.model.dashboard import Dashboard
from datadog_api_client.v1.model.logs_pipeline import LogsPipeline
from datadog_api_client.v1.model.logs_pipelines_order import LogsPipelinesOrder
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_update_request import MonitorUpdateRequest
from datadog_api_client.v2.api.key_management_api import KeyManagementApi
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.api.logs_metrics_api import LogsMetricsApi
from datadog_api_client.v2.api.security_monitoring_api import SecurityMonitoringApi
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem
from datadog_api_client.v2.model.logs_aggregate_request import LogsAggregateRequest
from datadog_api_client.v2.model.logs_list_request import LogsListRequest
from datadog_api_client.v2.model.logs_metric_create_request import LogsMetricCreateRequest
from datadog_api_client.v2.model.security_monitoring_rule_create_payload import SecurityMonitoringRuleCreatePayload
from datadog_api_client.v2.model.security_monitoring_rule_validate_payload import SecurityMonitoringRuleValidatePayload
from official_client import call, deserialize, find_unparsed, read_as

from execlave_server.clock import SystemClock
from execlave_server.sandbox.serve import serve_sandbox

pytestmark = pytest.mark.filterwarnings("ignore:Using unstable operation")

KEY = "0123456789abcdef0123456789abcdef"
QUERY = 'logs("source:execlave @status:policy_blocked").index("*").rollup("count").by("@agent_id").last("15m") > 2'
MONITOR = {
    "name": "blocks",
    "type": "log alert",
    "query": QUERY,
    "message": "Agent {{@agent_id.name}}: {{value}} @slack-sec",
    "tags": ["team:agents"],
    "priority": 2,
    "options": {
        "thresholds": {"critical": 2.0, "warning": 1.0},
        "include_tags": True,
        "notify_audit": False,
        "enable_logs_sample": True,
        "on_missing_data": "default",
        "new_group_delay": 0,
        "renotify_interval": 0,
        "notify_by": ["@agent_id"],
    },
}
PIPELINE = {
    "name": "Execlave",
    "is_enabled": True,
    "filter": {"query": "source:execlave"},
    "tags": ["team:agents"],
    "processors": [
        {
            "type": "category-processor",
            "name": "severity",
            "is_enabled": True,
            "target": "execlave.severity",
            "categories": [{"name": "warning", "filter": {"query": "@status:policy_blocked"}}],
        },
        {"type": "status-remapper", "name": "status", "is_enabled": True, "sources": ["execlave.severity"]},
        {"type": "date-remapper", "name": "date", "is_enabled": True, "sources": ["timestamp"]},
        {"type": "message-remapper", "is_enabled": True, "sources": ["message"]},
        {"type": "service-remapper", "name": "service", "is_enabled": True, "sources": ["service"]},
        {"type": "trace-id-remapper", "name": "trace", "is_enabled": False, "sources": ["dd.trace_id"]},
        {
            "type": "arithmetic-processor",
            "name": "ns",
            "is_enabled": True,
            "expression": "duration_ms * 1000000",
            "target": "duration",
            "is_replace_missing": False,
        },
        {
            "type": "string-builder-processor",
            "name": "who",
            "is_enabled": True,
            "template": "%{agent_id} did %{span_type}",
            "target": "who",
            "is_replace_missing": False,
        },
        {
            "type": "attribute-remapper",
            "name": "tag",
            "is_enabled": True,
            "sources": ["span_type"],
            "source_type": "attribute",
            "target": "span_type",
            "target_type": "tag",
            "preserve_source": True,
            "override_on_conflict": False,
        },
    ],
}
METRIC = {
    "data": {
        "id": "execlave.cost_usd",
        "type": "logs_metrics",
        "attributes": {
            "compute": {"aggregation_type": "distribution", "path": "@cost_usd", "include_percentiles": True},
            "filter": {"query": "source:execlave"},
            "group_by": [{"path": "@agent_id", "tag_name": "agent_id"}],
        },
    }
}
DASHBOARD = {
    "title": "Agents",
    "layout_type": "ordered",
    "widgets": [
        {
            "definition": {
                "type": "toplist",
                "title": "Cost by agent",
                "requests": [
                    {
                        "response_format": "scalar",
                        "formulas": [{"formula": "q"}],
                        "queries": [
                            {
                                "data_source": "logs",
                                "name": "q",
                                "search": {"query": "source:execlave"},
                                "indexes": ["*"],
                                "compute": {"aggregation": "sum", "metric": "@cost_usd"},
                                "group_by": [{"facet": "@agent_id", "limit": 10}],
                            }
                        ],
                    }
                ],
            }
        }
    ],
}
RULE = {
    "name": "repeated blocks",
    "type": "log_detection",
    "isEnabled": True,
    "message": "Agent {{@agent_id}}",
    "tags": [],
    "filters": [],
    "queries": [
        {
            "name": "blocks",
            "query": "source:execlave @status:policy_blocked",
            "aggregation": "count",
            "groupByFields": ["@agent_id"],
            "distinctFields": [],
        }
    ],
    "cases": [{"name": "high", "status": "high", "condition": "blocks > 10", "notifications": []}],
    "options": {
        "detectionMethod": "threshold",
        "evaluationWindow": 900,
        "keepAlive": 3600,
        "maxSignalDuration": 86400,
    },
}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a running sandbox that takes KEY."""
    async with serve_sandbox("127.0.0.1", 0, [KEY], SystemClock()) as port:
        yield port


async def submit(port: int) -> None:
    """Five logs of two agents."""
    items = [
        HTTPLogItem(
            message=f"call {number}",
            ddsource="execlave",
            service="billing",
            ddtags="env:test",
            status="policy_blocked",
            agent_id=f"a{number % 2}",
            span_type="tool",
            cost_usd=0.5 * number,
            duration_ms=number,
        )
        for number in range(5)
    ]
    assert await call(port, KEY, lambda api: LogsApi(api).submit_log(HTTPLog(items))) == {}


async def test_searches_page_by_page(port):
    """Search by POST and by GET gives the logs newest first, in pages that join up, in the client's own types."""
    await submit(port)
    body = {"filter": {"query": "source:execlave", "from": "now-15m", "to": "now"}, "page": {"limit": 2}}

    first = await call(port, KEY, lambda api: LogsApi(api).list_logs(body=read_as(LogsListRequest, body)))
    body["page"]["cursor"] = first.meta.page.after
    second = await call(port, KEY, lambda api: LogsApi(api).list_logs(body=read_as(LogsListRequest, body)))
    got = await call(
        port, KEY, lambda api: LogsApi(api).list_logs_get(filter_query="@agent_id:a1", sort="timestamp", page_limit=10)
    )

    assert [log.attributes.message for log in first.data + second.data] == ["call 4", "call 3", "call 2", "call 1"]
    assert [log.attributes.message for log in got.data] == ["call 1", "call 3"]
    log = first.data[0]
    assert (str(log.type), log.attributes.status, log.attributes.service) == ("log", "info", "billing")
    assert log.attributes.attributes["status"] == "policy_blocked"
    assert "env:test" in log.attributes.tags
    assert str(first.meta.status) == "done"


async def test_its_own_paging_reads_every_log(port):
    """The client's own paging through every page ends, with every log once."""
    await submit(port)
    body = {"filter": {"query": "source:execlave", "from": "now-15m", "to": "now"}, "page": {"limit": 2}}

    logs = await call(
        port, KEY, lambda api: list(LogsApi(api).list_logs_with_pagination(body=read_as(LogsListRequest, body)))
    )

    assert sorted(log.attributes.message for log in logs) == [f"call {number}" for number in range(5)]


async def test_aggregates(port):
    """Totals by group and a series come back in the client's own types."""
    await submit(port)
    body = {
        "compute": [
            {"aggregation": "sum", "metric": "@cost_usd", "type": "total"},
            {"aggregation": "count", "type": "timeseries", "interval": "1m"},
        ],
        "filter": {"query": "source:execlave", "from": "now-1h", "to": "now", "indexes": ["*"]},
        "group_by": [
            {
                "facet": "@agent_id",
                "limit": 100,
                "sort": {"aggregation": "sum", "metric": "@cost_usd", "type": "measure", "order": "desc"},
            }
        ],
    }

    answer = await call(port, KEY, lambda api: LogsApi(api).aggregate_logs(body=read_as(LogsAggregateRequest, body)))

    buckets = answer.data.buckets
    assert [(each.by["@agent_id"], each.computes["c0"]) for each in buckets] == [("a0", 3.0), ("a1", 2.0)]
    assert sum(point.value for each in buckets for point in each.computes["c1"].value) == 5


async def test_keeps_monitors(port):
    """A monitor is validated, created, read with its groups, listed, searched, changed, checked and deleted."""
    monitor = read_as(Monitor, MONITOR)

    assert await call(port, KEY, lambda api: MonitorsApi(api).validate_monitor(monitor)) == {}
    created = await call(port, KEY, lambda api: MonitorsApi(api).create_monitor(monitor))
    assert (created.name, str(created.overall_state), created.multi) == ("blocks", "No Data", True)
    assert created.options.thresholds.critical == 2.0
    got = await call(port, KEY, lambda api: MonitorsApi(api).get_monitor(created.id, group_states="all"))
    assert (got.query, got.state.groups) == (QUERY, {})
    assert [each.id for each in await call(port, KEY, lambda api: MonitorsApi(api).list_monitors())] == [created.id]
    found = await call(port, KEY, lambda api: MonitorsApi(api).search_monitors(query="blocks tag:team:agents"))
    assert [(each.id, str(each.status)) for each in found.monitors] == [(created.id, "No Data")]
    assert [each.handle for each in found.monitors[0].notifications] == ["@slack-sec"]
    changed = await call(
        port, KEY, lambda api: MonitorsApi(api).update_monitor(created.id, MonitorUpdateRequest(name="renamed"))
    )
    assert (changed.name, changed.query) == ("renamed", QUERY)
    deletable = await call(port, KEY, lambda api: MonitorsApi(api).check_can_delete_monitor([created.id]))
    assert deletable.data.ok == [created.id]
    deleted = await call(port, KEY, lambda api: MonitorsApi(api).delete_monitor(created.id))
    assert deleted.deleted_monitor_id == created.id
    assert await call(port, KEY, lambda api: MonitorsApi(api).list_monitors()) == []


async def test_keeps_pipelines(port):
    """A pipeline with every processor that is run is created, listed, ordered, read, replaced and deleted."""
    pipeline = read_as(LogsPipeline, PIPELINE)

    created = await call(port, KEY, lambda api: LogsPipelinesApi(api).create_logs_pipeline(pipeline))
    assert (len(created.id), created.type, created.is_read_only) == (22, "pipeline", False)
    assert len(created.processors) == len(PIPELINE["processors"])
    listed = await call(port, KEY, lambda api: LogsPipelinesApi(api).list_logs_pipelines())
    assert [each.id for each in listed.value] == [created.id]
    order = await call(port, KEY, lambda api: LogsPipelinesApi(api).get_logs_pipeline_order())
    assert order.pipeline_ids == [created.id]
    ordered = LogsPipelinesOrder(pipeline_ids=[created.id])
    await call(port, KEY, lambda api: LogsPipelinesApi(api).update_logs_pipeline_order(ordered))
    replaced = await call(port, KEY, lambda api: LogsPipelinesApi(api).update_logs_pipeline(created.id, pipeline))
    assert replaced.id == created.id
    got = await call(port, KEY, lambda api: LogsPipelinesApi(api).get_logs_pipeline(created.id))
    assert got.name == "Execlave"
    await call(port, KEY, lambda api: LogsPipelinesApi(api).delete_logs_pipeline(created.id))
    assert (await call(port, KEY, lambda api: LogsPipelinesApi(api).list_logs_pipelines())).value == []


async def test_keeps_log_metrics(port):
    """A metric is created, listed, read and deleted."""
    body = read_as(LogsMetricCreateRequest, METRIC)

    created = await call(port, KEY, lambda api: LogsMetricsApi(api).create_logs_metric(body))
    assert created.data.attributes.compute.path == "@cost_usd"
    listed = await call(port, KEY, lambda api: LogsMetricsApi(api).list_logs_metrics())
    assert [each.id for each in listed.data] == ["execlave.cost_usd"]
    got = await call(port, KEY, lambda api: LogsMetricsApi(api).get_logs_metric("execlave.cost_usd"))
    assert got.data.attributes.group_by[0].tag_name == "agent_id"
    await call(port, KEY, lambda api: LogsMetricsApi(api).delete_logs_metric("execlave.cost_usd"))
    assert (await call(port, KEY, lambda api: LogsMetricsApi(api).list_logs_metrics())).data == []


async def test_keeps_dashboards(port):
    """A dashboard is created, listed, read and deleted, its widgets numbered."""
    dashboard = read_as(Dashboard, DASHBOARD)

    created = await call(port, KEY, lambda api: DashboardsApi(api).create_dashboard(dashboard))
    assert (created.title, created.url) == ("Agents", f"/dashboard/{created.id}/agents")
    assert created.widgets[0].id
    listed = await call(port, KEY, lambda api: DashboardsApi(api).list_dashboards())
    assert [each.id for each in listed.dashboards] == [created.id]
    got = await call(port, KEY, lambda api: DashboardsApi(api).get_dashboard(created.id))
    assert got.widgets[0].definition.title == "Cost by agent"
    deleted = await call(port, KEY, lambda api: DashboardsApi(api).delete_dashboard(created.id))
    assert deleted.deleted_dashboard_id == created.id


async def test_keeps_security_rules(port):
    """A Cloud SIEM rule is validated, created, listed, read and deleted."""
    checked = read_as(SecurityMonitoringRuleValidatePayload, RULE)
    rule = read_as(SecurityMonitoringRuleCreatePayload, RULE)

    await call(port, KEY, lambda api: SecurityMonitoringApi(api).validate_security_monitoring_rule(checked))
    created = await call(port, KEY, lambda api: SecurityMonitoringApi(api).create_security_monitoring_rule(rule))
    assert (created.name, created.version, created.is_default) == ("repeated blocks", 1, False)
    listed = await call(port, KEY, lambda api: SecurityMonitoringApi(api).list_security_monitoring_rules())
    assert [each.id for each in listed.data] == [created.id]
    got = await call(port, KEY, lambda api: SecurityMonitoringApi(api).get_security_monitoring_rule(created.id))
    assert got.queries[0].query == RULE["queries"][0]["query"]
    await call(port, KEY, lambda api: SecurityMonitoringApi(api).delete_security_monitoring_rule(created.id))


async def test_validates_both_keys(port):
    """The newer checks of the keys come back in the client's own types."""
    checked = await call(port, KEY, lambda api: KeyManagementApi(api).validate())
    both = await call(port, KEY, lambda api: KeyManagementApi(api).validate_api_key())

    assert checked.data.attributes.valid is True
    assert str(both.status) == "ok"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": QUERY.replace("> 2", "=> 2")}, "The value provided for parameter 'query' is invalid: "),
        ({"query": QUERY.replace("@status:policy_blocked", "@status:(")}, "The value provided for parameter 'query'"),
        ({"options": {"thresholds": {"critical": 3.0}}}, "does not match that used in the query"),
    ],
)
async def test_refuses_bad_monitors(port, change, said):
    """A bad query and a threshold that is not the query's are 400 with one error, in the client's own exception."""
    body = read_as(Monitor, MONITOR | change)

    with pytest.raises(ApiException) as refused:
        await call(port, KEY, lambda api: MonitorsApi(api).validate_monitor(body))

    assert refused.value.status == 400
    assert said in refused.value.body["errors"][0]


def test_the_look_for_unparsed_values_finds_them():
    """What the client cannot read as its schema says is found wherever it stands."""
    unknown_type = deserialize(Monitor, MONITOR | {"type": "no such type"})
    unknown_within = deserialize(LogsPipeline, PIPELINE | {"processors": [{"type": "no such processor"}]})

    assert find_unparsed(unknown_type)
    assert find_unparsed([{"a": unknown_within}])[0].startswith("$[0].a")
