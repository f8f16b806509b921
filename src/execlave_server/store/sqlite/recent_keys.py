from execlave_server.store.batches import RECENT_TRACES_MIN, TraceKey

BUCKET_BITS = 14
RECENT_BUCKETS = RECENT_TRACES_MIN >> BUCKET_BITS  # 16 buckets of 16,384


class RecentKeys:
    """The keys of the newest traces: at least RECENT_TRACES_MIN of them, at most twice as many.

    Two generations: when the younger is full it becomes the older, so forgetting costs nothing.
    """

    def __init__(self) -> None:
        self._young: set[TraceKey] = set()
        self._old: set[TraceKey] = set()

    def __contains__(self, key: object) -> bool:
        return key in self._young or key in self._old

    def add(self, keys: set[TraceKey]) -> None:
        """Remember keys that are committed."""
        self._young |= keys
        if len(self._young) >= RECENT_TRACES_MIN:
            self._old, self._young = self._young, set()
