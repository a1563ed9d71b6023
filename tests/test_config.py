"""Settings: defaults, file, environment, in that order; a mistyped name or an impossible value is refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlog import config
from tlog.config import FILE, Config, check, load, render
from tlog.errors import InvalidInput

ORIGIN = "log.example.com"


def write(directory: Path, text: str) -> Path:
    """A settings file."""
    (directory / FILE).write_text(text)
    return directory


def test_what_init_writes_is_what_is_read(tmp_path: Path) -> None:
    """The new file gives the defaults, and says each of them in a comment that can be taken out."""
    write(tmp_path, render(ORIGIN))
    assert load(tmp_path, {}) == Config(ORIGIN)

    write(tmp_path, render(ORIGIN).replace("\n#", "\n").replace(" Settings", "# Settings"))
    lines = [line for line in render(ORIGIN).splitlines() if line.startswith("#") and " = " in line]
    write(tmp_path, "\n".join([f'origin = "{ORIGIN}"', *[line[1:] for line in lines]]))
    assert load(tmp_path, {}) == Config(ORIGIN)
    assert len(lines) == len(config.SETTINGS) - 1


def test_the_environment_has_precedence(tmp_path: Path) -> None:
    """Text becomes the setting's type; variables of other names are nobody's business."""
    write(tmp_path, f'origin = "{ORIGIN}"\nmax_batch = 5\npublish_interval = 2')
    environ = {"TLOG_MAX_BATCH": "7", "TLOG_GUARD": "/x", "TLOG_VKEY": "y", "MAX_BODY": "1"}

    loaded = load(tmp_path, environ)

    assert (loaded.max_batch, loaded.guard, loaded.publish_interval) == (7, "/x", 2.0)
    assert loaded.max_body == Config(ORIGIN).max_body


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_bach = 5", "max_bach"),
        ("max_batch = 'many'", "max_batch"),
        ("max_batch = 1.5", "max_batch"),
        ("max_batch = 0", "max_batch"),
        ("rate_events = -1.0", "rate_events"),
        ("rate_events = nan", "rate_events"),
        ("token_lifetime = 0", "token_lifetime"),
        ("token_lifetime = 86_401", "token_lifetime"),
        ("request_timeout = inf", "request_timeout"),
        ("min_free_disk = -1", "min_free_disk"),
        ("publish_interval = 0", "publish_interval"),
        ("publish_interval = 61.0", "publish_idle_interval"),
        ("guard = 5", "guard"),
        ("[guard]", "guard"),
        ("max_batch =", "tlog.toml"),
        ("origin = 'again'", "tlog.toml"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """The message names the setting, or the file where it cannot be read."""
    write(tmp_path, f'origin = "{ORIGIN}"\n{text}\n')
    with pytest.raises(InvalidInput, match=named) as caught:
        load(tmp_path, {})
    assert caught.value.kind == "config"


def test_a_variable_at_fault_is_named(tmp_path: Path) -> None:
    """Not the file, in which there is nothing to repair."""
    write(tmp_path, f'origin = "{ORIGIN}"\nguard = 5\nmax_batch = 5')
    with pytest.raises(InvalidInput, match=r"^TLOG_MAX_BATCH: "):
        load(tmp_path, {"TLOG_MAX_BATCH": "many", "TLOG_GUARD": "g"})
    with pytest.raises(InvalidInput, match=rf"^{tmp_path}/tlog\.toml: .*guard"):
        load(tmp_path, {"TLOG_MAX_BATCH": "7"})


def test_the_disk_may_be_filled_on_purpose() -> None:
    """Zero is a limit of free disk that somebody may want."""
    assert check(Config(ORIGIN, min_free_disk=0)).min_free_disk == 0


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Not UTF-8."""
    (tmp_path / FILE).write_bytes(b"\xff")
    with pytest.raises(InvalidInput):
        load(tmp_path, {})


def test_a_directory_without_settings(tmp_path: Path) -> None:
    """Not a log, and what to do."""
    with pytest.raises(InvalidInput, match="tlog init") as caught:
        load(tmp_path, {})
    assert caught.value.kind == "not-initialised"


def test_an_origin_is_required(tmp_path: Path) -> None:
    """There is no default name."""
    with pytest.raises(InvalidInput, match="origin"):
        load(write(tmp_path, ""), {})
