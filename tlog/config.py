"""Settings of one log: one frozen record, read once at start from DIR/tlog.toml and TLOG_… variables.

Unknown names are refused: a mistyped setting must not silently be a default.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tlog.errors import InvalidInput

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "tlog.toml"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting with its default. A setting `x` may be overridden by the environment variable `TLOG_X`."""

    #: Schemaless URL prefix of at most 55 bytes. It is in every checkpoint and can never change.
    origin: str
    #: Path of the guard file, relative to DIR. Put it on another disk than the store if you can.
    guard: str = "guard"
    #: Path of the vault's key-encryption key, relative to DIR.
    vault_key: str = "vault.key"
    #: Seconds between publications of the root checkpoint while anything changes.
    publish_interval: float = 1.0
    #: Seconds between publications when idle.
    publish_idle_interval: float = 60.0
    #: Lifetime of a bearer token in seconds.
    token_lifetime: int = 900
    #: Requests per second and API key; a burst of as many seconds' worth as `rate_burst` is let through.
    rate_requests: float = 20_000.0
    #: Events per second and API key.
    rate_events: float = 200_000.0
    #: Seconds' worth of requests and events that may come at once.
    rate_burst: float = 2.0
    #: Events that may wait for a commit before new ones are refused with 503.
    max_waiting_events: int = 20_000
    #: Largest request body in bytes.
    max_body: int = 16 * 1024 * 1024
    #: Largest number of events in one batch.
    max_batch: int = 10_000
    #: Seconds that a client may take to send its request.
    request_timeout: float = 30.0
    #: Bytes of free disk below which the log is read-only.
    min_free_disk: int = 256 * 1024 * 1024
    #: Streams that one tenant may have.
    max_streams_per_tenant: int = 1_000_000


SETTINGS = tuple(Config.__struct_fields__)


def load(directory: Path, environ: Mapping[str, str]) -> Config:
    """Read DIR/tlog.toml, then TLOG_<SETTING> variables. Raises: InvalidInput naming the setting at fault."""
    path = directory / FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidInput(
            "not-initialised", f"{directory} is not an initialised log directory; run `tlog init`"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"{path}: {error}") from error
    for name in SETTINGS:
        text = environ.get(f"TLOG_{name.upper()}")
        if text is not None:
            values[name] = text
    try:
        return check(msgspec.convert(values, Config, strict=False))
    except msgspec.ValidationError as error:
        raise InvalidInput("config", f"{path}: {error}") from error


def check(config: Config) -> Config:
    """Refuse values that cannot work. Raises: InvalidInput."""
    origin = config.origin
    if not 0 < len(origin.encode()) <= 55 or "://" in origin or origin != origin.strip("/"):
        raise InvalidInput(
            "config",
            "origin must be a schemaless URL prefix of 1 to 55 bytes, like log.example.com",
        )
    if any(ord(c) <= 0x20 or ord(c) >= 0x7F or c == "+" for c in origin):
        raise InvalidInput("config", "origin must be printable ASCII without spaces or '+'")
    if config.publish_interval <= 0 or config.publish_idle_interval < config.publish_interval:
        raise InvalidInput("config", "0 < publish_interval <= publish_idle_interval is required")
    return config


def render(origin: str) -> str:
    """The text of a new tlog.toml: the origin, and every other setting as a comment with its default."""
    defaults = msgspec.to_builtins(Config(origin))
    lines = [
        "# Settings of this log. What is commented out shows the default; the README explains each.",
        "",
        "# In every checkpoint, for ever: never change it.",
        f'origin = "{origin}"',
        "",
    ]
    lines += [f"#{name} = {_toml(value)}" for name, value in defaults.items() if name != "origin"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
