"""Where the pages of the destinations are."""

LIST = "/settings/integrations"


def path_of(destination_id: str) -> str:
    """The page of a destination."""
    return f"{LIST}/{destination_id}"
