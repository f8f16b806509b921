"""Templates to HTML. Everything is escaped; a name that is not there is an error, never a blank."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from execlave_server.web.static_files import static_url

TEMPLATES = Path(__file__).parent / "templates"
_STEPS = ((60, "s", 1), (3_600, "min", 60), (86_400, "h", 3_600), (86_400 * 60, "d", 86_400))  # up to, unit, seconds


def render(template: str, **values: Any) -> str:
    """A template of `web/templates` as HTML."""
    return environment().get_template(template).render(values)


@cache
def environment() -> Environment:
    """Where the templates, filters and functions are known."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["static_url"] = static_url
    made.filters.update(
        ago=ago, when=when, utc=utc, iso=iso, number=number, usd=usd, count_of=count_of, duration=duration
    )
    return made


def iso(at_us: int) -> str:
    """A time for machines, in the form of RFC 3339."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def utc(at_us: int) -> str:
    """A time for people, exact to the second."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(at_us: int, now_us: int) -> str:
    """How long ago, or in how long, in the largest unit that fits; a date beyond two months."""
    away_s = (now_us - at_us) // 1_000_000
    for most, unit, size in _STEPS:
        if abs(away_s) < most:
            amount = f"{abs(away_s) // size} {unit}"
            if abs(away_s) < 1:
                return "now"
            return f"{amount} ago" if away_s > 0 else f"in {amount}"
    return utc(at_us)[:10]


def ago(at_us: int | None, now_us: int) -> Markup:
    """How long ago as `<time>`, with the exact time in its title; a dash for never."""
    if at_us is None:
        return Markup('<span class="muted">&ndash;</span>')
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
        iso(at_us), utc(at_us), relative(at_us, now_us)
    )


def when(at_us: int | None) -> Markup:
    """The exact time as `<time>`; a dash for never."""
    if at_us is None:
        return Markup('<span class="muted">&ndash;</span>')
    return Markup('<time datetime="{}">{}</time>').format(iso(at_us), utc(at_us))


def number(value: float | None) -> str:
    """A number with its thousands apart; a dash for none."""
    if value is None:
        return "–"  # noqa: RUF001 - the dash of an empty cell
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def usd(nano_usd: int | None) -> str:
    """Billionths of a dollar as dollars: cents where they say enough, more digits below a cent."""
    if nano_usd is None:
        return "–"  # noqa: RUF001 - the dash of an empty cell
    dollars = nano_usd / 1e9
    return f"${dollars:,.2f}" if nano_usd == 0 or abs(dollars) >= 0.01 else f"${dollars:.6f}".rstrip("0")  # noqa: PLR2004 - a cent


def count_of(count: int, one: str, many: str = "") -> str:
    """`1 trace`, `1,204 traces`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration(ms: float | None) -> str:
    """Milliseconds as a person reads them."""
    if ms is None:
        return "–"  # noqa: RUF001 - the dash of an empty cell
    if ms < 1_000:  # noqa: PLR2004 - a second
        return f"{ms:.0f} ms" if ms >= 10 or ms == int(ms) else f"{ms:.1f} ms"  # noqa: PLR2004 - two digits
    return f"{ms / 1_000:.2f} s" if ms < 60_000 else f"{ms / 60_000:.1f} min"  # noqa: PLR2004 - a minute
