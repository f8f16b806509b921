from collections.abc import Callable, Iterator

import pytest
from harness import PUBLIC_URL, Platform, start_platform

from visitor import PASSWORD, Visitor, add_people, forgive_attempts

SignIn = Callable[..., Visitor]


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One running installation with a person of each role: `owner@pages.example` and so on."""
    with start_platform(tmp_path_factory.mktemp("web"), public_url=PUBLIC_URL) as started:
        add_people(started)
        yield started


@pytest.fixture
def stranger(platform: Platform) -> Visitor:
    """Somebody who is not signed in."""
    forgive_attempts(platform)
    return Visitor(platform.server.url)


@pytest.fixture(scope="session")
def sign_in(platform: Platform) -> SignIn:
    """Signs somebody of a role in, in a browser of his own."""

    def begin(role: str = "owner") -> Visitor:
        forgive_attempts(platform)
        visitor = Visitor(platform.server.url)
        assert visitor.sign_in(f"{role}@pages.example", PASSWORD).status == 303
        return visitor

    return begin


@pytest.fixture(scope="session")
def owner(sign_in: SignIn) -> Visitor:
    """An owner, for tests that end no session."""
    return sign_in("owner")
