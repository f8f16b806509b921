"""The shipped resources brought into a Datadog account through the official client: a plan first, then the changes.

A resource is found again by its tag (monitors), its id (metrics), its title (dashboard) or its name, so that applying
twice changes nothing the second time. The client is the optional extra `datadog`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from execlave_server.datadog.as_code.monitors import KEY_TAG, MANAGED_BY
from execlave_server.datadog.as_code.resources import Body, Kind, bodies
from execlave_server.errors import ExeclaveServerError
from execlave_server.model.secret import Secret

ANSWER_CHARS_MAX = 500  # of Datadog's answer, in an error
PAGE = 1_000  # more resources of one kind than an account has rules or monitors of ours
TIMEOUT_S = 30.0


class DatadogApiError(ExeclaveServerError):
    """Datadog refused a call, or could not be reached; nothing after it was done."""

    code = "DATADOG_API"
    status = 502


class ClientMissingError(ExeclaveServerError):
    """The official client is not installed."""

    code = "CLIENT_MISSING"


class Change(StrEnum):
    """What applying does to one resource."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "unchanged"


@dataclass(frozen=True)
class Step:
    """One resource of the plan: `id` where Datadog has it, `fields` that differ."""

    kind: Kind
    name: str
    change: Change
    body: Body
    id: Any = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Account:
    """Whose Datadog: the API's base URL, and both keys."""

    api_url: str
    api_key: Secret
    app_key: Secret
    proxy: str = ""
    ca_file: str = ""


@dataclass(frozen=True)
class _Calls:
    """How one kind is listed, named, made and changed. `found` gives each with its id and its body, in snake case."""

    found: Callable[[], Iterator[tuple[Any, Body]]]
    name: Callable[[Body], str]
    create: Callable[[Body], Any]
    update: Callable[[Any, Body], Any]


class Applier:
    """Plans and applies. Blocks. Raises ClientMissingError, DatadogApiError."""

    def __init__(self, account: Account) -> None:
        try:
            self._client = import_module("datadog_api_client")
            self._model_utils = import_module("datadog_api_client.model_utils")
            self._exceptions = import_module("datadog_api_client.exceptions")
            self._urllib3 = import_module("urllib3.exceptions")
        except ImportError as error:
            raise ClientMissingError(
                "`datadog apply` goes through Datadog's official client, which is not installed. "
                "Install it: pip install 'execlave-server[datadog]', or use `datadog render`."
            ) from error
        address = urlsplit(account.api_url)
        self._configuration = self._client.Configuration(
            server_index=1,
            server_variables={"name": address.netloc + address.path.rstrip("/"), "protocol": address.scheme},
            api_key={"apiKeyAuth": account.api_key.reveal(), "appKeyAuth": account.app_key.reveal()},
            request_timeout=TIMEOUT_S,
        )
        if account.proxy and address.scheme == "https":
            self._configuration.proxy = account.proxy
        if account.ca_file:
            self._configuration.ssl_ca_cert = account.ca_file
        self._where = account.api_url

    def plan(self, kinds: Sequence[Kind], notify: str = "") -> list[Step]:
        """What applying would do to each shipped resource of these kinds."""
        with self._client.ApiClient(self._configuration) as client:
            return [step for kind in kinds for step in self._plan(client, kind, notify)]

    def apply(self, steps: Sequence[Step]) -> Iterator[Step]:
        """Do the steps that change something, each given when it is done."""
        with self._client.ApiClient(self._configuration) as client:
            for step in steps:
                if step.change is Change.KEEP:
                    continue
                calls = self._calls(client, step.kind)
                with self._errors(f"{step.change} {step.name!r}"):
                    if step.change is Change.CREATE:
                        calls.create(step.body)
                    else:
                        calls.update(step.id, step.body)
                yield step

    def _plan(self, client: Any, kind: Kind, notify: str) -> Iterator[Step]:
        calls = self._calls(client, kind)
        with self._errors(f"list the {kind}"):
            there = {calls.name(body): (found_id, body) for found_id, body in calls.found()}
        for body in bodies(kind, notify):
            name = calls.name(body)
            if name not in there:
                yield Step(kind, name, Change.CREATE, body)
                continue
            found_id, found = there[name]
            fields = tuple(differing(snake(body), found))
            yield Step(kind, name, Change.UPDATE if fields else Change.KEEP, body, found_id, fields)

    def _calls(self, client: Any, kind: Kind) -> _Calls:
        return {
            Kind.MONITORS: self._monitors,
            Kind.PIPELINE: self._pipelines,
            Kind.METRICS: self._metrics,
            Kind.DASHBOARD: self._dashboards,
            Kind.SIEM: self._rules,
        }[kind](client)

    def _monitors(self, client: Any) -> _Calls:
        api = import_module("datadog_api_client.v1.api.monitors_api").MonitorsApi(client)
        return _Calls(
            lambda: ((each.id, snake(each.to_dict())) for each in api.list_monitors(monitor_tags=MANAGED_BY)),
            lambda body: next((tag for tag in body.get("tags", ()) if tag.startswith(KEY_TAG + ":")), ""),
            lambda body: api.create_monitor(self._model("v1.model.monitor.Monitor", body)),
            lambda found, body: api.update_monitor(
                found,
                self._model("v1.model.monitor_update_request.MonitorUpdateRequest", body),
            ),
        )

    def _pipelines(self, client: Any) -> _Calls:
        api = import_module("datadog_api_client.v1.api.logs_pipelines_api").LogsPipelinesApi(client)
        return _Calls(
            lambda: ((each.id, snake(each.to_dict())) for each in api.list_logs_pipelines().value),
            lambda body: str(body["name"]),
            lambda body: api.create_logs_pipeline(self._model("v1.model.logs_pipeline.LogsPipeline", body)),
            lambda found, body: api.update_logs_pipeline(
                found, self._model("v1.model.logs_pipeline.LogsPipeline", body)
            ),
        )

    def _metrics(self, client: Any) -> _Calls:
        api = import_module("datadog_api_client.v2.api.logs_metrics_api").LogsMetricsApi(client)
        model = "v2.model.logs_metric_create_request.LogsMetricCreateRequest"
        change = "v2.model.logs_metric_update_request.LogsMetricUpdateRequest"
        return _Calls(
            lambda: ((each.id, {"data": snake(each.to_dict())}) for each in api.list_logs_metrics().data),
            lambda body: str(body["data"]["id"]),
            lambda body: api.create_logs_metric(self._model(model, body)),
            lambda found, body: api.update_logs_metric(found, self._model(change, metric_change(body))),
        )

    def _dashboards(self, client: Any) -> _Calls:
        api = import_module("datadog_api_client.v1.api.dashboards_api").DashboardsApi(client)
        wanted = {body["title"] for body in bodies(Kind.DASHBOARD)}

        def found() -> Iterator[tuple[Any, Body]]:
            for each in api.list_dashboards().dashboards:
                if each.title in wanted:
                    yield each.id, snake(api.get_dashboard(each.id).to_dict())

        return _Calls(
            found,
            lambda body: str(body["title"]),
            lambda body: api.create_dashboard(self._model("v1.model.dashboard.Dashboard", body)),
            lambda found, body: api.update_dashboard(found, self._model("v1.model.dashboard.Dashboard", body)),
        )

    def _rules(self, client: Any) -> _Calls:
        api = import_module("datadog_api_client.v2.api.security_monitoring_api").SecurityMonitoringApi(client)
        standard = "v2.model.security_monitoring_standard_rule_create_payload"
        update = "v2.model.security_monitoring_rule_update_payload.SecurityMonitoringRuleUpdatePayload"

        def found() -> Iterator[tuple[Any, Body]]:
            for each in api.list_security_monitoring_rules(page_size=PAGE).data:
                rule = each.get_oneof_instance()
                yield rule.id, snake(rule.to_dict())

        return _Calls(
            found,
            lambda body: str(body["name"]),
            lambda body: api.create_security_monitoring_rule(
                self._model(f"{standard}.SecurityMonitoringStandardRuleCreatePayload", body)
            ),
            lambda found, body: api.update_security_monitoring_rule(
                found,
                self._model(update, {name: value for name, value in body.items() if name != "type"}),
            ),
        )

    def _model(self, path: str, body: Body) -> Any:
        module, _, name = path.rpartition(".")
        model = getattr(import_module(f"datadog_api_client.{module}"), name)
        convert = self._model_utils.validate_and_convert_types
        return convert(body, (model,), ["body"], True, True, self._configuration)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turns what the client raises into one clear line without a header or a key in it."""
        try:
            yield
        except self._exceptions.ApiException as error:
            raise DatadogApiError(_refusal(doing, error)) from None
        except self._urllib3.HTTPError as error:
            raise DatadogApiError(
                f"Datadog could not be reached at {self._where} to {doing}: {type(error).__name__}. "
                "Check the site, the proxy and the network."
            ) from None


def _refusal(doing: str, error: Any) -> str:
    if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return (
            f"Datadog refused to {doing} with {error.status}. Check both keys and the site they belong to, and that "
            "the application key may read and write monitors, logs pipelines, logs metrics, dashboards and SIEM rules."
        )
    answer = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
    return f"Datadog refused to {doing} with {error.status}: {answer[:ANSWER_CHARS_MAX]}"


def metric_change(body: Body) -> Body:
    """What of a metric can be changed: its filter and groups, and whether percentiles are kept."""
    attributes = dict(body["data"]["attributes"])
    percentiles = attributes["compute"].get("include_percentiles")
    del attributes["compute"]
    if percentiles is not None:
        attributes["compute"] = {"include_percentiles": percentiles}
    return {"data": {"type": body["data"]["type"], "attributes": attributes}}


_CAPITAL = re.compile(r"[A-Z]")


def _lowered(letter: re.Match[str]) -> str:
    return "_" + letter[0].lower()


def snake(value: Any) -> Any:
    """A body with the names of its fields in snake case, and with plain values, as it is compared."""
    match value:
        case dict():
            return {_CAPITAL.sub(_lowered, str(key)): snake(each) for key, each in value.items()}
        case list() | tuple():
            return [snake(each) for each in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return snake(value.to_dict()) if hasattr(value, "to_dict") else str(value)


def differing(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """The fields of what is wanted that are not so. What Datadog has beside, and the order of tags, are no change."""
    match wanted:
        case dict() if isinstance(found, dict):
            for name, each in wanted.items():
                yield from differing(each, found.get(name), f"{path}.{name}" if path else name)
        case list() if isinstance(found, list) and path == "tags":
            if not set(wanted) <= set(found):
                yield path
        case list() if isinstance(found, list) and len(wanted) == len(found):
            for place, (one, other) in enumerate(zip(wanted, found, strict=True)):
                yield from differing(one, other, f"{path}[{place}]")
        case _:
            if wanted != found and not (wanted in ([], None) and found in ([], None)):
                yield path
