"""Settings of one log: one frozen record, read once at start from DIR/tlog.toml and TLOG_… variables.

Unknown names are refused: a mistyped setting must not silently be a default.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tlog.errors import InvalidInput

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "tlog.toml"
MAX_ORIGIN = 55
_MAX_TOKEN_LIFETIME = 86_400  # a revoked session is remembered for as long

# Narrower than a key name of C2SP signed-note, so that it stands in a URL, a note and TOML as it is. It begins with a
# letter or digit, as every root-log leaf must (design section 2.2).
_origin = re.compile(
    r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*"
).fullmatch

_member = re.compile(r"`\$\.([a-z_]+)`").search


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
    #: Path of a C2SP tlog-policy file, relative to DIR: the witnesses that are asked to cosign. "" for none.
    witness_policy: str = ""
    #: Seconds for which a published root waits for its quorum before it is shown with fewer cosignatures.
    witness_wait: float = 0.8
    #: Seconds that a witness may take to answer.
    witness_timeout: float = 5.0
    #: Path of a PEM file, relative to DIR: roots of the timestamp authorities whose anchors are kept. "" for none.
    tsa_roots: str = ""
    #: OIDs of the timestamp policies that are believed, separated by spaces. "" for all of these authorities.
    tsa_policies: str = ""
    #: Anchors that are kept of one authority and UTC day.
    max_anchors_per_day: int = 300
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
        remedy = "; run `tlog init`"
        if (directory / "log.key").exists():
            remedy = f": {FILE} is lost, or an init was cut off here, to be begun anew elsewhere"
        detail = f"{directory} is not an initialised log directory{remedy}"
        raise InvalidInput("not-initialised", detail) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"{path}: {error}") from error
    return _settings(values, environ, path)


def initial(origin: str, environ: Mapping[str, str]) -> Config:
    """Settings of a log that is to be made, as `load` will find them. Raises: InvalidInput naming the setting at fault."""
    config = _settings({"origin": origin}, environ, FILE)
    if config.origin != origin:
        raise InvalidInput("config", f"TLOG_ORIGIN is {config.origin}, not {origin}")
    return config


def _settings(values: dict[str, Any], environ: Mapping[str, str], path: object) -> Config:
    given = {name: f"TLOG_{name.upper()}" for name in SETTINGS if f"TLOG_{name.upper()}" in environ}
    values = {**values, **{name: environ[variable] for name, variable in given.items()}}
    try:
        return check(msgspec.convert(values, Config, strict=False))
    except msgspec.ValidationError as error:
        named = _member(str(error))
        where = path if named is None else given.get(named[1], path)
        raise InvalidInput("config", f"{where}: {error}") from error


def check(config: Config) -> Config:
    """Refuse values that cannot work. Raises: InvalidInput."""
    origin = config.origin
    if len(origin) > MAX_ORIGIN or _origin(origin) is None:
        raise InvalidInput(
            "config",
            f"origin {origin!r} is not a URL prefix without its scheme, in lower case and of at most {MAX_ORIGIN} "
            "characters, like log.example.com or log.example.com/2026",
        )
    for name, value in msgspec.structs.asdict(config).items():
        # A limit of nothing, or of NaN, would refuse everything or let everything through.
        least = 0 if name == "min_free_disk" else math.ulp(0.0)
        if not isinstance(value, str) and not least <= value < math.inf:
            raise InvalidInput("config", f"{name} must be a positive number, not {value}")
    if config.token_lifetime > _MAX_TOKEN_LIFETIME:
        raise InvalidInput(
            "config",
            f"token_lifetime is at most {_MAX_TOKEN_LIFETIME}, not {config.token_lifetime}",
        )
    if config.publish_idle_interval < config.publish_interval:
        raise InvalidInput("config", "publish_interval <= publish_idle_interval is required")
    return config


def write(directory: Path, origin: str) -> None:
    """Write a new tlog.toml, durably: all of it or none, whenever the machine stops."""
    draft = directory / f".{FILE}"
    with draft.open("w", encoding="utf-8") as file:
        file.write(render(origin))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(directory / FILE)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
