"""Policies kept as files: JSON or TOML, one or many a file, and everything that is wrong with them."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from execlave_server.errors import ValidationFailedError
from execlave_server.model.policies import Policy, parse_policy
from execlave_server.policy.engine import verify_policy

FILE_BYTES_MAX = 1_000_000
COMPLAINTS_PER_POLICY_MAX = 50
_SEVERAL = "policies"
# What stands in for a member that is wrong, so that the others are looked at too.
_STAND_INS: Mapping[str, Any] = {"name": "(no name)", "enforcementMode": "block", "policyType": "injection_scan"}
_RULE, _TYPE = "ruleDefinition", "policyType"


class Complaint(NamedTuple):
    """What is wrong, and where: the file, which policy of it, and which field; None where it is the whole."""

    file: str
    policy: str | None
    field: str | None
    what: str

    @property
    def line(self) -> str:
        """For people."""
        return ": ".join(filter(None, (self.file, self.policy, self.field, self.what)))


class FilePolicy(NamedTuple):
    """A policy that is valid. `body` is what the API would take."""

    file: str
    policy: Policy
    body: bytes


class Linted(NamedTuple):
    """Every valid policy of some files, and every complaint."""

    policies: tuple[FilePolicy, ...]
    complaints: tuple[Complaint, ...]


def lint_policies(files: Iterable[tuple[str, bytes]]) -> Linted:
    """Read policy files by name and content. A name that two policies have is a complaint."""
    policies: list[FilePolicy] = []
    complaints: list[Complaint] = []
    first_of: dict[str, str] = {}
    for file, content in files:
        bodies, wrong = _read_file(file, content)
        complaints += wrong
        for number, body in enumerate(bodies):
            place = _place(number, body) if len(bodies) > 1 else None
            policy, found = _lint(file, place, body)
            complaints += found
            if policy is None:
                continue
            name = policy.policy.name
            if name in first_of:
                complaints.append(Complaint(file, place, "name", f"{name!r} is taken by a policy of {first_of[name]}"))
                continue
            first_of[name] = file
            policies.append(policy)
    return Linted(tuple(policies), tuple(complaints))


def _read_file(file: str, content: bytes) -> tuple[list[Any], list[Complaint]]:
    if len(content) > FILE_BYTES_MAX:
        return [], [Complaint(file, None, None, f"has {len(content):,} bytes; the most is {FILE_BYTES_MAX:,}")]
    try:
        document = tomllib.loads(content.decode()) if file.endswith(".toml") else json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        return [], [Complaint(file, None, None, f"cannot be read: {error}")]
    if isinstance(document, dict) and _SEVERAL in document:
        extra = sorted(set(document) - {_SEVERAL})
        wrong = [Complaint(file, None, name, "is not known beside `policies`") for name in extra]
        document = document[_SEVERAL]
        if not isinstance(document, list):
            return [], [*wrong, Complaint(file, None, _SEVERAL, "must be a list")]
        return document, wrong
    return (document if isinstance(document, list) else [document]), []


def _place(number: int, body: Any) -> str:
    name = body.get("name") if isinstance(body, dict) else None
    return f"policies[{number}]" + (f" {name!r}" if isinstance(name, str) and name else "")


def _lint(file: str, place: str | None, body: Any) -> tuple[FilePolicy | None, list[Complaint]]:
    if not isinstance(body, dict):
        return None, [Complaint(file, place, None, "must be an object")]
    complaints: list[Complaint] = []
    left, set_aside = dict(body), set[tuple[str, str]]()
    while len(complaints) < COMPLAINTS_PER_POLICY_MAX:
        try:
            encoded = msgspec.json.encode(left)
            policy = parse_policy(encoded)
            verify_policy(policy)
        except ValidationFailedError as error:
            [(field, what)] = error.fields.items()
            member, key = _member_and_key(field)
            if (member, key) in set_aside:
                break
            follows = member == _RULE and not key and any(name == _RULE for name, _ in set_aside)
            if not follows:  # what is missing only because it was wrong has been told
                complaints.append(Complaint(file, place, field, what))
            set_aside.add((member, key))
            _set_aside(left, member, key)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            complaints.append(Complaint(file, place, None, f"cannot be written as JSON: {error}"))
            break
        else:
            return (None if complaints else FilePolicy(file, policy, encoded)), complaints
    return None, complaints


def _member_and_key(field: str) -> tuple[str, str]:
    """`ruleDefinition.hours.start` is of the member `ruleDefinition` and its key `hours`."""
    member, _, key = field.partition(".")
    return member.split("[")[0], key.split(".")[0].split("[")[0]


def _set_aside(body: dict[str, Any], member: str, key: str) -> None:
    """Take what is wrong out of a body, or put something right in its place, so that the rest is looked at too."""
    rule = body.get(member)
    if key and isinstance(rule, dict) and key in rule:
        body[member] = {name: value for name, value in rule.items() if name != key}
        return
    body.pop(member, None)
    if member in _STAND_INS:
        body[member] = _STAND_INS[member]
    if member in {_RULE, _TYPE}:  # a rule that is missing or of no type: a type that needs none
        body[_TYPE] = _STAND_INS[_TYPE]
        body.pop(_RULE, None)
        body.pop("phase", None)
