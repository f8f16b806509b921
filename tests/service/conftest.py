from collections.abc import Iterator

import pytest
from harness import PUBLIC_URL, Platform, start_platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One running installation for all tests that need no more than agents and traces of their own."""
    with start_platform(tmp_path_factory.mktemp("platform"), public_url=PUBLIC_URL) as started:
        yield started
