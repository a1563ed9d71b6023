"""A front end's ring of keys: what is in its caches, and for all else the process that makes the keys.

Nothing here is the only copy of anything. Whatever that process forgets, because a person was erased, is forgotten here
before a key is used again: `look` compares the generation in the shared page, each time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Literal

from tlog.cache import Cache
from tlog.keyring import CACHE_LIMIT
from tlog.keys import DataKey
from tlog.served import Person
from tlog.workers import wire
from tlog.workers.asker import Asker
from tlog.workers.page import Page


class RemoteRing:
    """`vault.Ring` in a front end. Any thread."""

    def __init__(self, asker: Asker, page: Page) -> None:
        self._asker = asker
        self._page = page
        self._lock = threading.Lock()
        self._generation = page.generation
        self.names: Cache[tuple[str, str, str], str] = Cache(CACHE_LIMIT)
        self.keys: Cache[tuple[str, str | int | bytes], DataKey] = Cache(CACHE_LIMIT)
        self.look_at = 0.0  # always: a look is one number

    def look(self) -> None:
        """Forget what may have been destroyed."""
        if self._page.generation != self._generation:
            with self._lock:
                self._generation = self._page.generation
                self.names.clear()
                self.keys.clear()

    def pseudonym(self, tenant: str, kind: Literal["usr", "sub"], person: str) -> str:
        """The person's pseudonym; made at first sight. Raises: Unavailable (unknown-outcome)."""
        with self._lock:
            found = self.names.find((tenant, kind, person))
        if found is None:
            answer = self._asker.ask(wire.NameOf(tenant, kind, person, True), wire.Name)
            if answer.name is None:
                raise AssertionError("tlog: a pseudonym was not made")
            found = answer.name
            keys = {} if answer.key is None else {found: answer.key}
            self.keep(tenant, answer.generation, [((kind, person), found)], keys)
        return found

    def find(self, tenant: str, kind: Literal["usr", "sub"], person: str) -> str | None:
        """The person's pseudonym if there is one. Raises: Unavailable (unknown-outcome)."""
        return self._asker.ask(wire.NameOf(tenant, kind, person, False), wire.Name).name

    def key(self, tenant: str, name: str | int | bytes) -> DataKey:
        """As `Keyring.key`. Raises: Refused (erased), CorruptStore, Unavailable (unknown-outcome)."""
        with self._lock:
            found = self.keys.find((tenant, name))
        if found is None:
            if isinstance(name, bytes):
                asked = wire.KeyOf(tenant, None, name)
            else:
                asked = wire.KeyOf(tenant, name, None)
            answer = self._asker.ask(asked, wire.DayOrSubject)
            found = DataKey(answer.key.header, answer.key.key)
            self._keep_key(tenant, answer.generation, name, found)
        return found

    def missing(self, tenant: str, persons: Sequence[Person]) -> list[Person]:
        """Those whose pseudonyms are not at hand, each once."""
        self.look()
        get = self.names.get
        return [one for one in dict.fromkeys(persons) if get((tenant, *one)) is None]

    def keep(
        self,
        tenant: str,
        generation: int,
        names: Sequence[tuple[Person, str]],
        keys: Mapping[str, wire.Key],
    ) -> None:
        """Have the pseudonyms of persons and data keys by pseudonym at hand, if nothing was destroyed meanwhile."""
        for pseudonym, key in keys.items():
            self._keep_key(tenant, generation, pseudonym, DataKey(key.header, key.key))
        with self._lock:
            if generation == self._generation == self._page.generation:
                for (kind, person), pseudonym in names:
                    self.names.put((tenant, kind, person), pseudonym)

    def _keep_key(
        self, tenant: str, generation: int, name: str | int | bytes, key: DataKey
    ) -> None:
        with self._lock:
            if generation == self._generation == self._page.generation:
                self.keys.put((tenant, name), key)
                self.keys.put((tenant, key.header), key)
