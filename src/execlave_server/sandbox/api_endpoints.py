"""What Datadog's API host answers here, all of it behind an API key and an application key."""

from aiohttp.typedefs import Handler

from execlave_server.sandbox import configure_metrics, configure_pipelines, dashboards, security_rules
from execlave_server.sandbox.aggregate_logs import aggregate_logs
from execlave_server.sandbox.monitors import api as monitors
from execlave_server.sandbox.search_logs import list_events, search_logs
from execlave_server.sandbox.validate_key import validate_both_keys

PIPELINES = "/api/v1/logs/config/pipelines"
ORDER = "/api/v1/logs/config/pipeline-order"
METRICS = "/api/v2/logs/config/metrics"
MONITORS = "/api/v1/monitor"
DASHBOARDS = "/api/v1/dashboard"
RULES = "/api/v2/security_monitoring/rules"

# Method, path, handler, summary. Of two paths that match, the first answers.
API: tuple[tuple[str, str, Handler, str], ...] = (
    ("GET", "/api/v2/validate_keys", validate_both_keys, "Datadog's check of API key and application key"),
    ("POST", "/api/v2/logs/events/search", search_logs, "search logs"),
    ("GET", "/api/v2/logs/events", list_events, "the same in the query string"),
    ("POST", "/api/v2/logs/analytics/aggregate", aggregate_logs, "counts and measures over groups of logs"),
    ("POST", PIPELINES, configure_pipelines.create_pipeline, "create a pipeline"),
    ("GET", PIPELINES, configure_pipelines.list_pipelines, "the pipelines in their order"),
    ("GET", PIPELINES + "/{id}", configure_pipelines.show_pipeline, "one pipeline"),
    ("PUT", PIPELINES + "/{id}", configure_pipelines.replace_pipeline, "replace a pipeline"),
    ("DELETE", PIPELINES + "/{id}", configure_pipelines.delete_pipeline, "delete a pipeline"),
    ("GET", ORDER, configure_pipelines.show_order, "the order of the pipelines"),
    ("PUT", ORDER, configure_pipelines.replace_order, "change it"),
    ("POST", METRICS, configure_metrics.create_metric, "create a metric made from logs"),
    ("GET", METRICS, configure_metrics.list_metrics, "the metrics made from logs"),
    ("GET", METRICS + "/{id}", configure_metrics.show_metric, "one of them"),
    ("PATCH", METRICS + "/{id}", configure_metrics.change_metric, "change one"),
    ("DELETE", METRICS + "/{id}", configure_metrics.delete_metric, "delete one"),
    ("POST", MONITORS, monitors.create_monitor, "create a log monitor"),
    ("POST", MONITORS + "/validate", monitors.validate_monitor, "check one without creating it"),
    ("GET", MONITORS, monitors.list_monitors, "the monitors"),
    ("GET", MONITORS + "/search", monitors.search_monitors, "search monitors by name, status and tag"),
    ("GET", MONITORS + "/can_delete", monitors.check_deletable, "whether monitors can be deleted"),
    ("GET", MONITORS + "/{id}", monitors.show_one, "one monitor: ?group_states=all"),
    ("PUT", MONITORS + "/{id}", monitors.update_monitor, "change a monitor"),
    ("DELETE", MONITORS + "/{id}", monitors.delete_monitor, "delete a monitor"),
    ("POST", MONITORS + "/{id}/validate", monitors.validate_monitor, "check a change of a monitor"),
    ("POST", DASHBOARDS, dashboards.create_dashboard, "store a dashboard"),
    ("GET", DASHBOARDS, dashboards.list_dashboards, "the dashboards"),
    ("GET", DASHBOARDS + "/{id}", dashboards.show_dashboard, "one dashboard"),
    ("PUT", DASHBOARDS + "/{id}", dashboards.replace_dashboard, "replace a dashboard"),
    ("DELETE", DASHBOARDS + "/{id}", dashboards.delete_dashboard, "delete a dashboard"),
    ("POST", RULES, security_rules.create_rule, "store a Cloud SIEM rule"),
    ("POST", RULES + "/validation", security_rules.validate_rule, "check one without storing it"),
    ("GET", RULES, security_rules.list_rules, "the Cloud SIEM rules"),
    ("GET", RULES + "/{id}", security_rules.show_rule, "one of them"),
    ("PUT", RULES + "/{id}", security_rules.replace_rule, "replace one"),
    ("DELETE", RULES + "/{id}", security_rules.delete_rule, "delete one"),
)
