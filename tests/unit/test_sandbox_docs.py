from pathlib import Path

import pytest

from execlave_server.sandbox.application import ENDPOINTS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "sandbox.md"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_each_endpoint_is_documented(endpoint):
    """Each endpoint stands in the sandbox's reference, with its method in the same cell or sentence."""
    cells = [cell for line in REFERENCE.read_text().splitlines() for cell in line.split("|")]

    assert any(
        f"{endpoint.path}`" in cell or f"{endpoint.path}?" in cell
        for cell in cells
        if f"`{endpoint.method} " in cell or f"`{endpoint.method}`" in cell
    )
