import pytest

from execlave_server.datadog.sites import SANDBOX_SITE, Endpoints, Site, endpoints, parse_site
from execlave_server.errors import ValidationFailedError

UI_HOSTS = {
    "datadoghq.com": "app.datadoghq.com",
    "us3.datadoghq.com": "us3.datadoghq.com",
    "us5.datadoghq.com": "us5.datadoghq.com",
    "datadoghq.eu": "app.datadoghq.eu",
    "ap1.datadoghq.com": "ap1.datadoghq.com",
    "ap2.datadoghq.com": "ap2.datadoghq.com",
    "uk1.datadoghq.com": "uk1.datadoghq.com",
    "ddog-gov.com": "app.ddog-gov.com",
    "us2.ddog-gov.com": "us2.ddog-gov.com",
}
SANDBOX_URL = "http://127.0.0.1:8125"


def test_knows_the_nine_sites():
    """The sites are exactly those of Datadog's API specification."""
    assert [site.value for site in Site] == list(UI_HOSTS)


@pytest.mark.parametrize("site", UI_HOSTS)
@pytest.mark.parametrize(
    "form",
    [
        "{site}",
        " {site}\n",
        "{site}.",
        "https://{site}",
        "HTTPS://{site}:443/logs?query=a@b#c",
        "http://{ui}/",
        "{ui}",
        "{ui}:443",
        "{ui}/account/settings",
        "api.{site}",
        "https://api.{site}/api/v1/validate",
        "http-intake.logs.{site}",
        "https://http-intake.logs.{site}/api/v2/logs",
        "agent-http-intake.logs.{site}",
    ],
)
def test_understands_a_site_and_every_address_made_of_it(site, form):
    """The site, its pages, its API and its intake all mean the site, in any case and with blanks around them."""
    text = form.format(site=site, ui=UI_HOSTS[site])

    assert parse_site(text, sandbox=False) == site
    assert parse_site(text.upper(), sandbox=True) == site


@pytest.mark.parametrize(
    ("region", "site"),
    [
        ("US1", "datadoghq.com"),
        ("us", "datadoghq.com"),
        ("US3", "us3.datadoghq.com"),
        ("US5", "us5.datadoghq.com"),
        ("EU", "datadoghq.eu"),
        ("eu1", "datadoghq.eu"),
        ("AP1", "ap1.datadoghq.com"),
        ("AP2", "ap2.datadoghq.com"),
        ("UK1", "uk1.datadoghq.com"),
        ("US1-FED", "ddog-gov.com"),
        (" us2-fed ", "us2.ddog-gov.com"),
    ],
)
def test_understands_region_names(region, site):
    """Datadog's own names for its regions mean their sites."""
    assert parse_site(region, sandbox=False) == site


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "datadog",
        "datadoghq.de",
        "us6.datadoghq.com",
        "acme.datadoghq.com",
        "logs.us2.datadoghq.com",
        "datadoghq.com..",
        "https://datadoghq.com.evil.example/",
        "https://evil.example/datadoghq.com",
        "https://evil.example?datadoghq.com",
        "datadoghq.com@evil",
        "https://datadoghq.com@evil.example/",
        "https://datadoghq.com:443@evil.example/",
        "https://evil@datadoghq.com/",
        "https://datadoghq.com\\.evil.example/",
        "https:///datadoghq.com",
        "ftp://datadoghq.com",
        "datadoghq.com:port",
        "datadoghq.com evil.example",
        "datadoghq.com\n.evil.example",
        "datadoghq\uff0ecom",
        "u\u212a1.datadoghq.com",
        "EU2",
        "US1_FED",
        "sandbox",
    ],
)
def test_refuses_everything_else(text):
    """What is not one of the sites is refused with what was given, what is accepted and what to do."""
    with pytest.raises(ValidationFailedError) as caught:
        parse_site(text, sandbox=False)

    assert list(caught.value.fields) == ["site"]
    assert (repr(text.strip()) if text.strip() else "No Datadog site was given") in caught.value.fields["site"]
    assert all(site in caught.value.fields["site"] for site in UI_HOSTS)
    assert "sandbox" not in caught.value.fields["site"].partition("Accepted")[2]


def test_shows_only_the_start_of_a_long_text():
    """A page pasted by mistake does not come back whole."""
    with pytest.raises(ValidationFailedError) as caught:
        parse_site("x" * 100_000, sandbox=True)

    assert len(caught.value.message) < 500
    assert "sandbox" in caught.value.message


def test_knows_the_sandbox_only_where_it_is_configured():
    """`sandbox` is a site when the operator gave its address, and an unknown one otherwise."""
    assert parse_site(" Sandbox ", sandbox=True) == SANDBOX_SITE
    with pytest.raises(ValidationFailedError):
        endpoints(SANDBOX_SITE, sandbox_url=None, intake_urls={}, api_urls={})


@pytest.mark.parametrize("site", UI_HOSTS)
def test_derives_the_addresses_from_the_site(site):
    """The intake, the API and the pages of a site stand under its name, as Datadog documents it."""
    assert endpoints(site, sandbox_url=None, intake_urls={}, api_urls={}) == Endpoints(
        intake_url=f"https://http-intake.logs.{site}/api/v2/logs",
        api_url=f"https://api.{site}",
        app_url=f"https://{UI_HOSTS[site]}",
    )


@pytest.mark.parametrize("sandbox_url", [SANDBOX_URL, f"{SANDBOX_URL}/"])
def test_puts_the_sandbox_on_one_address(sandbox_url):
    """The sandbox takes logs and answers API calls on the address the operator gave."""
    assert endpoints(SANDBOX_SITE, sandbox_url=sandbox_url, intake_urls={}, api_urls={}) == Endpoints(
        intake_url=f"{SANDBOX_URL}/api/v2/logs", api_url=SANDBOX_URL, app_url=SANDBOX_URL
    )


def test_takes_the_operators_addresses_first():
    """An operator's intake or API URL, for a proxy or a special intake, replaces that of its site only."""
    intake_urls = {"datadoghq.eu": "https://proxy.example/dd/api/v2/logs"}
    api_urls = {"datadoghq.eu": "https://proxy.example/dd-api/"}

    changed = endpoints("datadoghq.eu", sandbox_url=None, intake_urls=intake_urls, api_urls=api_urls)
    other = endpoints("datadoghq.com", sandbox_url=None, intake_urls=intake_urls, api_urls=api_urls)

    assert changed == Endpoints(
        "https://proxy.example/dd/api/v2/logs", "https://proxy.example/dd-api", "https://app.datadoghq.eu"
    )
    assert other == endpoints("datadoghq.com", sandbox_url=None, intake_urls={}, api_urls={})


@pytest.mark.parametrize("site", ["app.datadoghq.com", "EU1", "evil.example", ""])
def test_has_no_addresses_for_what_is_not_a_site(site):
    """Addresses are made only of a site as parse_site returns it, never of what a person typed."""
    with pytest.raises(ValidationFailedError):
        endpoints(site, sandbox_url=SANDBOX_URL, intake_urls={}, api_urls={})
