"""The navigation: the areas there are, in their order, shown where a page exists and the person may open it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from execlave_server.model.people import Person
from execlave_server.model.permissions import ROLES, Permission

if TYPE_CHECKING:
    from execlave_server.web.exchange import PageRoute


@dataclass(frozen=True)
class Area:
    """One entry. `key` is typed after `g` to go there."""

    name: str
    path: str
    label: str
    key: str = ""


AREAS = (
    Area("overview", "/overview", "Overview", "o"),
    Area("traces", "/traces", "Traces", "t"),
    Area("incidents", "/incidents", "Incidents", "i"),
    Area("agents", "/agents", "Agents", "a"),
    Area("policies", "/policies", "Policies", "p"),
    Area("approvals", "/approvals", "Approvals", "v"),
    Area("budgets", "/budgets", "Budgets", "b"),
    Area("audit", "/audit", "Audit", "u"),
    Area("settings", "/settings", "Settings", "s"),
)

SETTINGS_TABS = (
    Area("profile", "/settings/profile", "Profile"),
    Area("sessions", "/settings/sessions", "Sessions"),
    Area("integrations", "/settings/integrations", "Integrations"),
    Area("keys", "/settings/keys", "API keys"),
    Area("members", "/settings/members", "Members"),
    Area("organization", "/settings/organization", "Organization"),
)


class Navigation:
    """Which entries lead somewhere, from the route table."""

    def __init__(self, routes: Sequence["PageRoute"]) -> None:
        self._access = {route.path: route.access for route in routes if route.method == "GET"}

    def areas(self, person: Person) -> list[Area]:
        """What stands in the navigation for this person."""
        return self._open(AREAS, person)

    def settings_tabs(self, person: Person) -> list[Area]:
        """The tabs of the settings for this person."""
        return self._open(SETTINGS_TABS, person)

    def home(self, person: Person) -> str:
        """The page to begin with."""
        return self.areas(person)[0].path

    def _open(self, areas: Sequence[Area], person: Person) -> list[Area]:
        return [area for area in areas if area.path in self._access and self._may(person, area.path)]

    def _may(self, person: Person, path: str) -> bool:
        access = self._access[path]
        return not isinstance(access, Permission) or access in ROLES[person.role]
