"""A bounded map for values that can be found again: two generations instead of a linked list.

A hit in the young generation is one dictionary look-up without a lock. When the young generation is full it becomes the
old one, and what was in the old one and not asked for since is forgotten: least recently used, to within half the size.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """At most `limit` values.

    `get` may be called by any thread at any time. `find`, `put`, `drop` and `clear` only under the owner's lock: a promotion that
    ran beside `clear` would bring a value back that its owner has just forgotten on purpose.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: K) -> V | None:
        """The value if it was used lately. None means: ask `find`, under the lock."""
        return self._young.get(key)

    def find(self, key: K) -> V | None:
        """The value from either generation, marked as used."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep `value`; may forget others."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def drop(self, key: K) -> None:
        """Forget one value, if it is here."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}
