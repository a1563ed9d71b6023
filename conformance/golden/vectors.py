"""The files of the vectors, and the one-step changes that spoil a document."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from conformance.golden.honest import Json

Change = Callable[[Json], Any]

PASS, FAIL, NONE = "pass", "fail", "not shown"
# Integrity, position, witnessed, time; and whether verify.py, which knows no policy, exits with 0.
SIGNED = (PASS, PASS, NONE, NONE)
WITNESSED = (PASS, PASS, PASS, PASS)
BROKEN = (FAIL, NONE, NONE, NONE)
MISPLACED = (PASS, FAIL, NONE, NONE)


class Vectors:
    """The files so far, by path, and the index of what they must be judged as."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.index: dict[str, Any] = {}

    def raw(self, path: str, data: bytes, expected: Any) -> None:
        """A file and what it must be judged as."""
        if path in self.files:
            raise AssertionError(f"tlog: two vectors named {path}")
        self.files[path] = data
        self.index[path] = expected

    def proof(self, path: str, document: Json | bytes, verdicts: tuple[str, ...]) -> None:
        """A receipt, batch or package, with its four verdicts."""
        data = document if isinstance(document, bytes) else dump(document)
        names = ("integrity", "position", "witnessed", "time")
        alone = verdicts[0] == verdicts[1] == PASS  # verify.py sees neither policy nor quorum
        expected = dict(zip(names, verdicts, strict=True))
        self.raw(path, data, {**expected, "verify_py": 0 if alone else 1})


def dump(document: Json) -> bytes:
    """JSON for reading."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def changed(document: Json, change: Change) -> Json:
    """A copy with one change."""
    other = copy.deepcopy(document)
    change(other)
    return other


def put(*path: str, value: Any) -> Change:
    """Set a member."""

    def change(document: Json) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return change


def drop(*path: str) -> Change:
    """Remove a member."""

    def change(document: Json) -> None:
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]

    return change


def flip(text: str) -> str:
    """Another hash, in the same spelling."""
    old = text[-12]
    return text[:-12] + ("b" if old == "a" else "a") + text[-11:]


def hashes(*path: str) -> dict[str, Change]:
    """Every way to spoil a list of hashes, by name."""

    def at(document: Json) -> list[Any]:
        for name in path:
            document = document[name]
        return document  # type: ignore[return-value]

    def flipped(document: Json) -> None:
        at(document)[0] = flip(at(document)[0])

    return {
        "flipped": flipped,
        "too-short": lambda document: at(document).pop(),
        "too-long": lambda document: at(document).append(at(document)[-1]),
        "swapped": lambda document: at(document).reverse(),
        "of-31-bytes": lambda d: at(d).__setitem__(0, b64encode(bytes(31)).decode()),
        "not-canonical-base64": lambda d: at(d).__setitem__(0, "A" * 42 + "B="),
        "no-strings": lambda document: at(document).__setitem__(0, 7),
        "a-million": lambda document: at(document).extend([at(document)[0]] * 100),
    }
