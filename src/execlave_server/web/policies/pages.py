"""Policies: the list, one with its history, its form, its shadow, and what a draft would have done."""

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw
from starlette.responses import Response

from execlave_server.actions.edit_policy import change_policy, create_policy, delete_policy, patch_policy
from execlave_server.actions.read_policies import (
    StoredPolicy,
    StoredVersion,
    get_policy,
    list_policies,
    list_versions,
)
from execlave_server.actions.read_shadow import read_shadow
from execlave_server.actions.replay_policies import replay_policies
from execlave_server.errors import ConflictError, ExeclaveServerError, ValidationFailedError
from execlave_server.model.permissions import Permission
from execlave_server.model.policies import EnforcementMode, FailureMode, PolicyType, parse_policy
from execlave_server.policy.engine import verify_policy
from execlave_server.web.exchange import Form, Page, PageRoute
from execlave_server.web.policies.templates import TEMPLATES

LIST = "/policies"
SHADOW_HOURS = 24
TRIED_HOURS = 24
TRIED_TRACES_MAX = 5_000  # some seconds of judging, in slices beside the decisions
_HOUR_US = 3_600_000_000
_LISTS = ("appliesToAgents", "environments")
_WORDS = ("name", "policyType", "enforcementMode", "failureMode")


class Step(NamedTuple):
    """One version in the history, and the lines that differ from the one before: (sign, text)."""

    version: StoredVersion
    lines: list[tuple[str, str]]


async def show_policies(page: Page) -> Response:
    """Every policy, by name."""
    policies = await list_policies(page.services.store, page.organization.number)
    return page.render("policies/list.html", policies=policies, templates=TEMPLATES)


async def show_new(page: Page) -> Response:
    """The form of a new policy, filled in from a template where one is named."""
    template = next((each for each in TEMPLATES if each.key == page.query["template"]), None)
    return _show_form(page, None, said=template.body if template else None)


async def post_new(page: Page) -> Response:
    """Make a policy, or try it against recent traces."""
    try:
        body = _body(page.form)
        if "try" in page.form:
            return await _try(page, None, body)
        made = await create_policy(page.services, page.organization.number, page.person.actor, body)
    except (ValidationFailedError, ConflictError) as error:
        return _show_form(page, None, error=error)
    return page.redirect(f"{LIST}/{made.id}", "The policy holds from the next decision on.")


async def show_policy(page: Page) -> Response:
    """One policy with its history and, in monitor mode, what it would have done."""
    store, organization = page.services.store, page.organization.number
    stored = await get_policy(store, organization, page.path("id"))
    history = _history(await list_versions(store, organization, stored.id))
    shadow = None
    if stored.policy.enforcement_mode is EnforcementMode.MONITOR or page.query["shadow"]:
        shadow = await read_shadow(page.services, organization, stored.id, SHADOW_HOURS)
    return page.render(
        "policies/policy.html",
        stored=stored,
        policy=stored.policy,
        rule=_pretty(stored)["ruleDefinition"],
        history=history,
        shadow=shadow,
    )


async def show_edit(page: Page) -> Response:
    """The form of a policy that there is."""
    return _show_form(page, await get_policy(page.services.store, page.organization.number, page.path("id")))


async def post_edit(page: Page) -> Response:
    """The policy's next version, or a try of it."""
    stored = await get_policy(page.services.store, page.organization.number, page.path("id"))
    try:
        body = _body(page.form, stored)
        if "try" in page.form:
            return await _try(page, stored, body)
        await change_policy(page.services, page.organization.number, page.person.actor, stored.id, body)
    except (ValidationFailedError, ConflictError) as error:
        return _show_form(page, stored, error=error)
    return page.redirect(f"{LIST}/{stored.id}", "Saved. It holds from the next decision on.")


async def post_activate(page: Page) -> Response:
    """Switch it on or off."""
    active = page.form["active"] == "yes"
    await patch_policy(
        page.services,
        page.organization.number,
        page.person.actor,
        page.path("id"),
        msgspec.json.encode({"isActive": active}),
    )
    return page.redirect(f"{LIST}/{page.path('id')}", "It is active again." if active else "It says nothing any more.")


async def post_delete(page: Page) -> Response:
    """It goes; its versions stay in the audit chain."""
    await delete_policy(page.services, page.organization.number, page.person.actor, page.path("id"))
    return page.redirect(LIST, "Deleted. Its versions are kept.")


async def _try(page: Page, stored: StoredPolicy | None, body: bytes) -> Response:
    draft = parse_policy(body)
    verify_policy(draft)
    from_us = page.now_us - TRIED_HOURS * _HOUR_US
    replayed = await replay_policies(
        page.services, page.organization, [draft], from_us=from_us, traces_max=TRIED_TRACES_MAX
    )
    return _show_form(page, stored, replayed=replayed, comparison=replayed.comparisons[0])


def _body(form: Form, stored: StoredPolicy | None = None) -> bytes:
    """What was typed as the API's body; what the form does not show stays as it was."""
    kept = msgspec.json.decode(stored.body, type=dict[str, Any]) if stored else {}
    said: dict[str, Any] = {**kept, **{name: form[name] for name in _WORDS}}
    said |= {name: [each.strip() for each in form[name].split(",") if each.strip()] for name in _LISTS}
    said["isActive"] = "isActive" in form
    try:
        msgspec.json.decode(form["ruleDefinition"] or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        text = f"This is no JSON object: {error}"
        raise ValidationFailedError("The rule definition cannot be read.", fields={"ruleDefinition": text}) from error
    return msgspec.json.encode({**said, "ruleDefinition": Raw((form["ruleDefinition"] or "{}").encode())})


def _show_form(
    page: Page,
    stored: StoredPolicy | None,
    *,
    said: dict[str, Any] | None = None,
    error: ExeclaveServerError | None = None,
    **more: Any,
) -> Response:
    shown = said or (_pretty(stored) if stored else {})
    fields = error.fields if isinstance(error, ValidationFailedError) else {}
    errors = {}
    for name, text in fields.items():  # `ruleDefinition.tools[0]` is said at the field of the rule
        place = name.partition(".")[0].partition("[")[0]
        errors[place] = text if place == name else f"{name} {text}"
    return page.render(
        "policies/form.html",
        error.status if error else 200,
        stored=stored,
        said={
            **{name: shown.get(name, "") for name in _WORDS},
            **{name: ", ".join(shown.get(name, ())) for name in _LISTS},
            "isActive": shown.get("isActive", True) if page.request.method == "GET" else "isActive" in page.form,
            "ruleDefinition": shown.get("ruleDefinition", "{}"),
        },
        types=[(each.value, each.replace("_", " ")) for each in PolicyType],
        modes=[(each.value, each.replace("_", " ")) for each in EnforcementMode],
        failures=[(FailureMode.OPEN.value, "let the action go"), (FailureMode.CLOSED.value, "block the action")],
        problem=error.message if error else None,
        errors=errors,
        **more,
    )


def _pretty(stored: StoredPolicy) -> dict[str, Any]:
    """The body with its rule as text that a person edits."""
    said = msgspec.json.decode(stored.body, type=dict[str, Any])
    return {**said, "ruleDefinition": _indented(said["ruleDefinition"])}


def _indented(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode()


def _history(versions: Sequence[StoredVersion]) -> list[Step]:
    """Each version, the newest first, with what it changed."""
    lines = [_indented(msgspec.json.decode(version.body)).splitlines() for version in versions]
    return [
        Step(version, _differences(lines[at + 1] if at + 1 < len(lines) else [], lines[at]))
        for at, version in enumerate(versions)
    ]


def _differences(before: list[str], after: list[str]) -> list[tuple[str, str]]:
    return [(line[0], line[2:]) for line in difflib.ndiff(before, after) if line[0] in "+-"] if before else []


_READ, _EDIT = Permission.POLICIES_READ, Permission.POLICIES_EDIT
ROUTES = (
    PageRoute("GET", LIST, _READ, show_policies, "policies"),
    PageRoute("GET", f"{LIST}/new", _EDIT, show_new, "policies"),
    PageRoute("POST", f"{LIST}/new", _EDIT, post_new, "policies"),
    PageRoute("GET", f"{LIST}/{{id}}", _READ, show_policy, "policies"),
    PageRoute("GET", f"{LIST}/{{id}}/edit", _EDIT, show_edit, "policies"),
    PageRoute("POST", f"{LIST}/{{id}}/edit", _EDIT, post_edit, "policies"),
    PageRoute("POST", f"{LIST}/{{id}}/activate", _EDIT, post_activate, "policies"),
    PageRoute("POST", f"{LIST}/{{id}}/delete", _EDIT, post_delete, "policies"),
)
