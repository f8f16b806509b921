"""Datadog's closed list of sites, how to recognise one in what a person pastes, and the addresses of each.

Source: the `site` server variable of Datadog's API specification, and its "Getting started with sites" page.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from execlave_server.errors import ValidationFailedError

SANDBOX_SITE = "sandbox"  # only where the operator configured a sandbox URL
GIVEN_SHOWN_CHARS_MAX = 80  # enough to recognise what was typed, too little to flood a page or a log line


class Site(StrEnum):
    """The nine sites; an API key belongs to exactly one of them."""

    US1 = "datadoghq.com"
    US3 = "us3.datadoghq.com"
    US5 = "us5.datadoghq.com"
    EU1 = "datadoghq.eu"
    AP1 = "ap1.datadoghq.com"
    AP2 = "ap2.datadoghq.com"
    UK1 = "uk1.datadoghq.com"
    US1_FED = "ddog-gov.com"
    US2_FED = "us2.ddog-gov.com"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where one site takes logs (full URL), answers API calls (base URL) and shows its pages (base URL)."""

    intake_url: str
    api_url: str
    app_url: str


_SITES_BY_REGION: Mapping[str, Site] = MappingProxyType(
    {**{site.name.lower().replace("_", "-"): site for site in Site}, "us": Site.US1, "eu": Site.EU1}
)
# Hosts Datadog derives from a site; a custom sub-domain is refused, because `us9.datadoghq.com` would look like one.
_HOST_PREFIXES = (
    "app.",
    "api.",
    "http-intake.logs.",
    "agent-http-intake.logs.",
    "lambda-http-intake.logs.",
)
_SITES_BY_HOST: Mapping[str, Site] = MappingProxyType(
    {prefix + site.value: site for site in Site for prefix in ("", *_HOST_PREFIXES)}
)
# A bare host or an http(s) URL. The authority holds neither `@` nor `\`, so no other host can hide behind it.
_PASTED = re.compile(
    r"(?:https?://)?"
    r"(?P<host>[a-z0-9.-]{1,253}?)\.?"  # 253: the longest DNS name; a root dot may follow
    r"(?::[0-9]{1,5})?"
    r"(?:[/?#].*)?"
)


def parse_site(text: str, *, sandbox: bool) -> str:
    """The site meant by a site, region, host name or pasted URL; `sandbox` says whether that site is configured.

    Raises ValidationFailedError, with the field `site`, for anything else.
    """
    given = text.strip()
    if given.isascii():  # letters such as the Kelvin sign would otherwise lower-case into a site
        lowered = given.lower()
        if sandbox and lowered == SANDBOX_SITE:
            return SANDBOX_SITE
        if lowered in _SITES_BY_REGION:
            return _SITES_BY_REGION[lowered].value
        pasted = _PASTED.fullmatch(lowered)
        if pasted is not None and pasted["host"] in _SITES_BY_HOST:
            return _SITES_BY_HOST[pasted["host"]].value
    raise _unknown_site(given, sandbox=sandbox)


def endpoints(
    site: str,
    *,
    sandbox_url: str | None,
    intake_urls: Mapping[str, str],
    api_urls: Mapping[str, str],
) -> Endpoints:
    """The addresses of a site as parse_site returns it; the operator's URLs per site come before Datadog's own.

    Raises ValidationFailedError for an unknown site, and for `sandbox` where no sandbox URL is configured.
    """
    if site == SANDBOX_SITE and sandbox_url is not None:
        base_url = sandbox_url.rstrip("/")
        derived = Endpoints(f"{base_url}/api/v2/logs", base_url, base_url)
    elif site in _SITES_BY_HOST and site == _SITES_BY_HOST[site].value:
        derived = _derive_endpoints(_SITES_BY_HOST[site])
    else:
        raise _unknown_site(site, sandbox=sandbox_url is not None)
    return Endpoints(
        intake_url=intake_urls.get(site, derived.intake_url),
        api_url=api_urls.get(site, derived.api_url).rstrip("/"),
        app_url=derived.app_url,
    )


def _derive_endpoints(site: Site) -> Endpoints:
    has_own_label = site.value.count(".") > 1  # us3.datadoghq.com is its own UI host; datadoghq.com needs `app.`
    return Endpoints(
        intake_url=f"https://http-intake.logs.{site.value}/api/v2/logs",
        api_url=f"https://api.{site.value}",
        app_url=f"https://{site.value}" if has_own_label else f"https://app.{site.value}",
    )


def _unknown_site(given: str, *, sandbox: bool) -> ValidationFailedError:
    shown = given if len(given) <= GIVEN_SHOWN_CHARS_MAX else given[: GIVEN_SHOWN_CHARS_MAX - 1] + "…"
    was = f"{shown!r} is not a Datadog site" if given else "No Datadog site was given"
    accepted = ", ".join([*(site.value for site in Site), *([SANDBOX_SITE] if sandbox else [])])
    message = (
        f"{was}. Accepted: {accepted}. Give one of these, or paste the address of your Datadog page; "
        "the API key works only on the site it was made on."
    )
    return ValidationFailedError(message, fields={"site": message})
