"""One file that says everything of an incident and proves its traces with this server gone."""

from typing import Any

import msgspec
from msgspec import Raw

from execlave_server.actions.export_evidence import export_evidence
from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.read_incidents import read_incident
from execlave_server.actions.services import Services
from execlave_server.actions.show_content import note_content_read
from execlave_server.errors import ConflictError, NotFoundError
from execlave_server.model.incidents import Incident
from execlave_server.model.people import Caller

FORMAT = "execlave-incident"
FORMAT_VERSION = 1
TRACES_PROVED_MAX = 20  # of one incident; each is a pass over the audit chain
INSTRUCTIONS = (
    "python3 verify_evidence.py THIS_FILE checks the evidence of every trace below, offline, one after the other.",
    "The script is docs/verify_evidence.py of execlave-server. See docs/how-to/answer-an-alert.md.",
)


async def export_incident(services: Services, caller: Caller, incident: str) -> bytes:
    """The evidence bundle of an incident, indented JSON. Raises NotFoundError."""
    file = await read_incident(services, caller, incident)
    organization = await find_organization(services, caller.organization_id)
    trace_ids = list(dict.fromkeys(each.trace_id for each in file.traces))
    evidence: list[dict[str, Any]] = []
    unproved: list[dict[str, str]] = []
    for trace_id in trace_ids[:TRACES_PROVED_MAX]:
        try:
            proof = await export_evidence(services, organization, trace_id)
            evidence.append({"traceId": trace_id, "evidence": Raw(proof)})
        except (NotFoundError, ConflictError) as error:
            unproved.append({"traceId": trace_id, "why": error.message})
    await note_content_read(services, caller, [each["traceId"] for each in evidence])
    why = f"Only the first {TRACES_PROVED_MAX} traces are proved here; `audit export` proves any other."
    unproved += [{"traceId": trace_id, "why": why} for trace_id in trace_ids[TRACES_PROVED_MAX:]]
    bundle = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "instructions": INSTRUCTIONS,
        "organization": organization.id,
        "exportedAtUs": services.clock.now_us(),
        "incident": described(file.incident),
        "timeline": file.steps,
        "traces": file.traces,
        "evidence": evidence,
        "unproved": unproved,
    }
    return msgspec.json.format(msgspec.json.encode(bundle), indent=1) + b"\n"


def described(incident: Incident) -> dict[str, Any]:
    """An incident by its stored names, without the salt of its digests and the store's own number of its tenant."""
    kept = msgspec.to_builtins(incident)
    return {name: value for name, value in kept.items() if name not in {"salt", "organization"}}
