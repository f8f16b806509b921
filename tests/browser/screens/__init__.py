"""What to take pictures of: one module an area, each with `SCREENS` and, where it needs something there, `prepare`.

`SCREENS` is a tuple of `Screen`s. `prepare(platform, names)` puts things into the installation and into `names`, which
fill the braces in the screens' paths.
"""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page


@dataclass(frozen=True)
class Screen:
    """A page as somebody of a role (None: not signed in) sees it, after `then` was done on it."""

    name: str
    path: str
    role: str | None = "owner"
    then: Callable[[Page], object] | None = None
