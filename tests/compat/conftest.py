from collections.abc import Iterator

import pytest
from harness import Platform, start_platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One running installation for the published clients."""
    with start_platform(tmp_path_factory.mktemp("compat")) as started:
        yield started
