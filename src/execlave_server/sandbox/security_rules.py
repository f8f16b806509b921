"""`/api/v2/security_monitoring/rules`: rules are checked, stored and given back; no signal is made."""

import re
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from execlave_server.sandbox.api_requests import read_body
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import RULES_MAX
from execlave_server.sandbox.match_logs import SearchSyntaxError, compile_matcher
from execlave_server.sandbox.refusals import ApiRefusedError
from execlave_server.sandbox.state import STATE

EVALUATION_WINDOWS_S = frozenset({0, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400})
NAME = re.compile(r"[A-Za-z_]\w*")
AUTHOR_ID = 1
ID_PARTS = ((0, 3), (3, 6), (6, 9))  # an id such as 5br-mto-gse

Name = Annotated[str, Meta(min_length=1)]


class RuleQuery(Struct):
    """One query of a rule."""

    query: str = ""
    name: str = ""
    aggregation: Literal["count", "cardinality", "sum", "max", "new_value", "geo_data", "event_count", "none"] = "count"
    groupByFields: list[str] = []  # noqa: N815 - Datadog's name
    distinctFields: list[str] = []  # noqa: N815 - Datadog's name


class RuleCase(Struct):
    """When a signal is made, and how grave it is."""

    status: Literal["info", "low", "medium", "high", "critical"]
    name: str = ""
    condition: str = ""


class RuleOptions(Struct):
    """How long the rule looks back, and how long a signal lives. Seconds."""

    detectionMethod: str = "threshold"  # noqa: N815 - Datadog's name
    evaluationWindow: int | None = None  # noqa: N815 - Datadog's name
    keepAlive: int = 0  # noqa: N815 - Datadog's name
    maxSignalDuration: int = 0  # noqa: N815 - Datadog's name


class RuleBody(Struct):
    """What every rule has; the rest is kept as it came."""

    name: Name
    isEnabled: bool  # noqa: N815 - Datadog's name
    message: str
    queries: Annotated[list[RuleQuery], Meta(min_length=1)]
    cases: list[RuleCase]
    options: RuleOptions
    type: str = "log_detection"
    tags: list[str] = []
    filters: list[dict[str, Any]] = []


def find_faults(rule: RuleBody) -> list[str]:
    """What Datadog would refuse in a rule; nothing for a good one."""
    faults = [*query_faults(rule.queries), *option_faults(rule.options)]
    names = {query.name or chr(ord("a") + number) for number, query in enumerate(rule.queries)}
    for case in rule.cases:
        unknown = set(NAME.findall(case.condition)) - names
        if unknown:
            faults.append(f"Case condition names {', '.join(sorted(unknown))}, which is no query of this rule")
    if rule.options.detectionMethod == "threshold" and not any(case.condition for case in rule.cases):
        faults.append("A threshold rule needs a case with a condition")
    return faults


def query_faults(queries: list[RuleQuery]) -> list[str]:
    """What is wrong with the queries."""
    faults: list[str] = []
    for query in queries:
        if not query.query.strip():
            faults.append("Query filter cannot be empty")
            continue
        try:
            compile_matcher(query.query)
        except SearchSyntaxError as error:
            faults.append(f"Query {query.name or query.query!r} cannot be read: {error}")
    return faults


def option_faults(options: RuleOptions) -> list[str]:
    """What is wrong with the durations."""
    faults: list[str] = []
    if options.evaluationWindow is not None and options.evaluationWindow not in EVALUATION_WINDOWS_S:
        allowed = ", ".join(map(str, sorted(EVALUATION_WINDOWS_S)))
        faults.append(f"evaluationWindow must be one of {allowed}")
    if options.keepAlive > options.maxSignalDuration:
        faults.append("keepAlive must not be longer than maxSignalDuration")
    return faults


async def create_rule(request: web.Request) -> web.Response:
    """200 and the rule with its id; a bad one is refused in the recorded words."""
    state = request.app[STATE]
    body, faults = await read_rule(request)
    if faults:
        raise ApiRefusedError(400, "Invalid rule configuration", *faults)
    if len(state.security_rules) >= RULES_MAX:
        raise ApiRefusedError(400, f"the sandbox holds {RULES_MAX} rules: delete one")
    digits = state.clock.uuid().replace("-", "")
    rule_id = "-".join(digits[first:last] for first, last in ID_PARTS)
    rule = describe(body, rule_id, state.clock.now_us() // 1_000, 1)
    state.security_rules[rule_id] = rule
    return json_answer(rule)


async def replace_rule(request: web.Request) -> web.Response:
    """The next version of a rule."""
    state = request.app[STATE]
    there = find_rule(request)
    body, faults = await read_rule(request)
    if faults:
        raise ApiRefusedError(400, "Invalid rule configuration", *faults)
    rule = describe(body, there["id"], there["createdAt"], there["version"] + 1)
    state.security_rules[there["id"]] = rule
    return json_answer(rule)


async def validate_rule(request: web.Request) -> web.Response:
    """204 for a good rule, else 400 with what is wrong."""
    _, faults = await read_rule(request)
    if not faults:
        return web.Response(status=204)
    details = [{"code": "InvalidArgument", "message": fault} for fault in faults]
    error = {"code": "InvalidArgument", "message": "Invalid rule configuration", "details": details}
    return json_answer({"error": error}, 400)


async def list_rules(request: web.Request) -> web.Response:
    """All of them on one page."""
    rules = list(request.app[STATE].security_rules.values())
    page = {"total_count": len(rules), "total_filtered_count": len(rules)}
    return json_answer({"data": rules, "meta": {"page": page}})


async def show_rule(request: web.Request) -> web.Response:
    """One of them."""
    return json_answer(find_rule(request))


async def delete_rule(request: web.Request) -> web.Response:
    """204, nothing more."""
    del request.app[STATE].security_rules[find_rule(request)["id"]]
    return web.Response(status=204)


def find_rule(request: web.Request) -> dict[str, Any]:
    """The rule in the path. Raises ApiRefusedError where there is none."""
    rule = request.app[STATE].security_rules.get(request.match_info["id"])
    if rule is None:
        raise ApiRefusedError(404, f"Threat detection rule not found: {request.match_info['id']}")
    return rule


async def read_rule(request: web.Request) -> tuple[dict[str, Any], list[str]]:
    """The body as it came, and what is wrong with it."""
    body = await read_body(request)
    try:
        return msgspec.json.decode(body, type=dict[str, Any]), find_faults(msgspec.json.decode(body, type=RuleBody))
    except msgspec.ValidationError as error:
        return {}, [f"{error}"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiRefusedError(400, f"the body is not JSON: {error}") from error


def describe(body: dict[str, Any], rule_id: str, created_ms: int, version: int) -> dict[str, Any]:
    """The body with what Datadog adds."""
    return {
        "type": "log_detection",
        "tags": [],
        "filters": [],
        "hasExtendedTitle": False,
        **body,
        "id": rule_id,
        "version": version,
        "createdAt": created_ms,
        "creationAuthorId": AUTHOR_ID,
        "updateAuthorId": AUTHOR_ID,
        "isDefault": False,
        "isDeleted": False,
    }
