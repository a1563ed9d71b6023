"""Answers what front ends ask: pictures of streams, pseudonyms, keys. One thread for each front end that asks and waits."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast

from tlog.errors import TlogError
from tlog.log import Log
from tlog.messages import failure, frame
from tlog.store.layout import ROOT_LOG
from tlog.vault import Vault
from tlog.workers import wire
from tlog.workers.asker import receive
from tlog.workers.page import Page

# Persons that are named in one go before others get their turn.
_SLICE = 100

Kind = Literal["usr", "sub"]


class Questions:
    """Listens on a Unix socket. `committed` tells up to which commit everything can be seen."""

    def __init__(self, log: Log, page: Page, path: Path, committed: Callable[[], int]) -> None:
        self._log = log
        self._page = page
        self._committed = committed
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(os.fspath(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, name="tlog-questions", daemon=True).start()

    def close(self) -> None:
        """Take no more front ends."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(
                target=self._serve, args=(connection,), name="tlog-question", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(EOFError, OSError):
            while True:
                asked = wire.question(receive(connection.recv))
                connection.sendall(frame(self._answer(asked)))

    def _answer(self, asked: wire.Question) -> wire.Message:
        try:
            if isinstance(asked, wire.ViewOf):
                return self._picture(asked.number)
            generation = self._log.vault.look()
            if isinstance(asked, wire.KeyOf):
                name: str | int | bytes | None = asked.header
                if name is None:
                    name = asked.name
                if name is None:
                    raise AssertionError("tlog: asked for a key without saying which")
                return wire.DayOrSubject(generation, _key(self._log.vault, asked.tenant, name))
            return wire.Name(generation, *self._name(asked))
        except TlogError as error:
            return wire.Failed(failure(error))

    def _picture(self, number: int) -> wire.Picture:
        committed = self._committed()
        view = self._log.states.view(number)
        head = self._log.sequencer.head
        root = self._log.states.view(ROOT_LOG)
        # What this front end shows now, the others must not be without.
        self._page.show(head.commit)
        return wire.Picture(committed, view, head, root)

    def _name(self, asked: wire.NameOf) -> tuple[str | None, wire.Key | None]:
        vault, kind = self._log.vault, cast(Kind, asked.kind)
        if not asked.make:
            return vault.find_pseudonym(asked.tenant, kind, asked.person), None
        name = vault.pseudonym(asked.tenant, kind, asked.person)
        return name, _key(vault, asked.tenant, name) if kind == "sub" else None


async def names_of(vault: Vault, asked: wire.Persons) -> wire.Names:
    """The answer to `Persons`; others have their turn in between."""
    generation = vault.look()
    names: list[str] = []
    keys: dict[str, wire.Key] = {}
    try:
        for at, (kind, person) in enumerate(asked.persons, 1):
            name = vault.pseudonym(asked.tenant, cast(Any, kind), person)
            names.append(name)
            if kind == "sub":
                keys[name] = _key(vault, asked.tenant, name)
            if at % _SLICE == 0:
                await asyncio.sleep(0)
    except TlogError as error:
        return wire.Names(asked.id, generation, [], {}, failure(error))
    return wire.Names(asked.id, generation, names, keys)


def _key(vault: Vault, tenant: str, name: str | int | bytes) -> wire.Key:
    key = vault.data_key(tenant, name)
    return wire.Key(key.header, key.key)
