"""What every chapter of the demo uses: the directory, the text, and commands that are printed and run as they are printed."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from rich.console import Console

from tlog.cli.demo.processes import DemoError, Process, run

INDEPENDENT = Path("conformance") / "verifier" / "verify.py"
CHECKOUT = Path(__file__).resolve().parents[3]
#: Seconds for which something may take to come to be, on a machine that has much else to do.
PATIENCE = 60.0
_HTTP_SECONDS = 30.0
_MOST = 8 * 1024 * 1024

T = TypeVar("T")
Word: TypeAlias = "str | Path"


@dataclass(frozen=True)
class Check:
    """A command that strangers can repeat: its words, the exit code that it must have, and where it is run."""

    words: tuple[str, ...]
    expect: int = 0
    cwd: Path | None = None


class Stage:
    """One run: its home, what is known by name (`$VKEY`), and the checks that were made and can be repeated."""

    def __init__(self, home: Path, *, kept: bool) -> None:
        self.home = home
        self.kept = kept
        self.checks: list[Check] = []
        self.names: dict[str, str] = {}
        self.started = time.monotonic()
        self._console = Console(highlight=False, soft_wrap=True)
        (home / "output").mkdir()

    # ---- printing ------------------------------------------------------------------------------

    def title(self, text: str) -> None:
        """The beginning of a chapter."""
        self._console.print(f"\n{text}", style="bold cyan", markup=False)

    def line(self, text: str, style: str | None = None) -> None:
        """What is shown, and to whom it matters."""
        self._console.print(f"    {text}", style=style, markup=False)

    def plain(self, text: str, style: str | None = None) -> None:
        """A line from the left margin."""
        self._console.print(text, style=style, markup=False)

    def command(self, *words: Word, **settings: str) -> None:
        """A command, as one could type it."""
        shown = [f"{name}={_quote(value)}" for name, value in settings.items()]
        self._console.print(
            "  $ " + " ".join([*shown, shell([str(word) for word in words])]),
            markup=False,
            style="dim",
        )

    # ---- running -------------------------------------------------------------------------------

    def run(self, *words: Word, expect: int = 0, **settings: str) -> str:
        """Print a command and run it; its standard output. A name such as `$VKEY` stands for its value.

        Raises: DemoError when it ends with another exit code than `expect`.
        """
        self.command(*words, **settings)
        return self._run([str(word) for word in words], expect, None, settings)

    def check(self, *words: Word, expect: int = 0, cwd: Path | None = None) -> str:
        """As `run`; and it is told at the end, for everybody to repeat."""
        check = Check(tuple(str(word) for word in words), expect, cwd)
        self.command(*words)
        said = self._run(list(check.words), expect, cwd, {})
        self.checks.append(check)
        return said

    def check_pipe(self, text: str) -> str:
        """As `check`, for programs that the shell joins."""
        self.plain(f"  $ {text}", "dim")
        said = self._run(["sh", "-c", text], 0, None, {})
        self.checks.append(Check(("sh", "-c", text)))
        return said

    def start(self, words: list[str], start: Callable[..., Process], **settings: str) -> Process:
        """Print the command of a server and start it by `start`, with a file for its own words."""
        name = "-".join(Path(word).name for word in words[:3])
        self.command(*_module(words), **settings)
        return start(words, self.home / "output" / f"{name}.log", **settings)

    def _run(
        self, words: list[str], expect: int, cwd: Path | None, settings: dict[str, str]
    ) -> str:
        program = _program(words[0])
        expanded = [self._value(word) for word in words[1:]]
        values = {name: self._value(value) for name, value in settings.items()}
        return run(*expanded, expect=expect, program=program, settings=values, cwd=cwd)

    def _value(self, word: str) -> str:
        return self.names.get(word, word)

    def independent(self) -> list[str] | None:
        """The command of the verifier that shares no code with the log; None outside of a checkout."""
        script = CHECKOUT / INDEPENDENT
        return ["python", near(script)] if script.exists() else None

    # ---- asking --------------------------------------------------------------------------------

    def get(self, url: str, *, show: bool = True) -> bytes:
        """GET a page, which is told. Raises: DemoError for another status than 200."""
        if show:
            self.command("GET", url)
        try:
            with urllib.request.urlopen(url, timeout=_HTTP_SECONDS) as answer:
                body: bytes = answer.read(_MOST)
        except urllib.error.HTTPError as error:
            raise DemoError(f"GET {url}: {error.code} {error.read(500)!r}") from None
        except OSError as error:
            raise DemoError(f"GET {url}: {error}") from None
        return body

    def get_json(self, url: str, *, show: bool = True) -> Any:
        """GET a page that is JSON."""
        return json.loads(self.get(url, show=show))

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Look until there is something. Raises: DemoError saying `what` did not come to be."""
        deadline = time.monotonic() + PATIENCE
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise DemoError(f"{what}: not within {PATIENCE:.0f} s")
            time.sleep(0.1)
        return found


def shell(words: list[str]) -> str:
    """Words as one types them."""
    return " ".join(_quote(word) for word in words)


def _quote(word: str) -> str:
    return f'"{word}"' if re.fullmatch(r"\$[A-Z]+", word) else shlex.quote(word)


def _module(words: list[str]) -> list[str]:
    """`tlog …` and `witness …` are commands; other modules are run by Python."""
    return words if words[0] in ("tlog", "witness") else ["python", "-m", *words]


def _program(name: str) -> list[str]:
    """How a command of that name is run here."""
    if name in ("tlog", "witness"):
        return [sys.executable, "-m", name]
    return [sys.executable] if name == "python" else [name]


def near(path: Path) -> str:
    """A path as one types it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def typed(name: str) -> list[str]:
    """The command of that name, for somebody who has not activated the environment."""
    if name == "python":
        return [near(Path(sys.executable))]
    if name not in ("tlog", "witness"):
        return [name]
    script = Path(sys.executable).with_name(name)
    return [near(script)] if script.exists() else [near(Path(sys.executable)), "-m", name]
