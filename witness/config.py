"""Settings of one witness: one frozen record, read once at start from DIR/witness.toml and WITNESS_… variables.

Unknown names are refused: a mistyped setting must not silently be a default.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tlog.core.keys import check_name
from tlog.errors import InvalidInput
from witness.tsa import TsaConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "witness.toml"
#: SPEC: tlog-cosignature, cosigned_message: a cosigner name has 1 to 255 bytes; "/audited" must fit as well.
MAX_NAME = 247


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting with its default. A setting `x` may be overridden by the environment variable `WITNESS_X`."""

    #: Name of the witness: a URL without its scheme. It is in both vkeys and can never change.
    name: str
    #: Path of the guard file, relative to DIR. Put it on another disk than the store if you can.
    guard: str = "guard"
    #: URL prefixes of other witnesses, to gossip with, and of public copies of this one's pages, all asked for
    #: `<hash>/checkpoint`: a cosignature of ours in there that the store does not know shows that it was rolled back.
    peers: tuple[str, ...] = ()
    #: Seconds between two looks at what was published of our own cosignatures.
    check_interval: float = 60.0
    #: Seconds that one page may take in such a look. Nothing is cosigned after a start until the first look is over.
    check_timeout: float = 5.0
    #: Seconds by which the clock may stand behind the newest cosignature, or have jumped ahead, before signing stops.
    clock_tolerance: float = 60.0
    #: Checkpoints that may wait for the disk before new ones are refused with 503.
    max_waiting: int = 1_000
    #: Seconds that a client may take to send its request.
    request_timeout: float = 10.0
    #: Bytes of free disk below which nothing is cosigned.
    min_free_disk: int = 64 * 1024 * 1024
    #: Seconds between two rounds of gossip: what logs publish and peers know is read, compared and passed on.
    gossip_interval: float = 10.0
    #: Messages of gossip that are taken per second; the others are refused with 429.
    gossip_rate: float = 20.0
    #: Seconds for which a log may fail to show the tiles of a head that it signed before that is an alarm.
    gossip_patience: float = 60.0
    #: Seconds between two looks at a log that is audited; 0: logs are not audited.
    audit_interval: float = 1.0
    #: Seconds that one request of the audit may take.
    audit_timeout: float = 10.0
    #: Requests to one log at once.
    audit_parallel: int = 8
    #: Seconds for which a log may show nothing new, show what is older or unsigned, be unreachable, or withhold what it
    #: signed, before that is an alarm.
    audit_patience: float = 30.0
    #: Seconds without a checkpoint from a log that sent some before, after which it counts as showing nothing new.
    audit_heartbeat: float = 75.0
    #: Whether the audit reads entries too, where it may: re-hashed, in a chain, each valid by itself.
    audit_entries: bool = False
    #: File with a line `<log origin> <token>` for each log of which private streams are read too; empty: none.
    audit_tokens: str = ""
    #: Seconds that `/audited/add-checkpoint` waits for the audit.
    audit_wait: float = 5.0
    #: Seconds between two timestamps of a log that has grown; each day from 00:01 UTC there is one in any case.
    anchor_interval: float = 86_400.0
    #: Seconds that a timestamp authority, or a log that is given an anchor, may take to answer.
    tsa_timeout: float = 30.0
    #: URL to which alarms are posted; empty: they are only logged, counted and shown.
    webhook: str = ""
    #: Secret that signs those messages (Standard Webhooks, HMAC-SHA256); empty: they are not signed.
    webhook_secret: str = ""
    #: Form of the log lines on standard error: text or json.
    log_format: str = "text"
    #: Timestamp authorities (RFC 3161) that stamp what was cosigned: one `[[tsa]]` table each, at the end of the file.
    tsa: tuple[TsaConfig, ...] = ()


_MAY_BE_ZERO = frozenset({"min_free_disk", "audit_interval"})

SETTINGS = tuple(Config.__struct_fields__)


def load(directory: Path, environ: Mapping[str, str]) -> Config:
    """Read DIR/witness.toml, then WITNESS_<SETTING> variables; lists in those are separated by spaces.

    Raises: InvalidInput naming the setting at fault.
    """
    path = directory / FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidInput(
            "not-initialised",
            f"{directory} is not an initialised witness directory; run `witness init`",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"{path}: {error}") from error
    defaults = {info.name: info.default for info in msgspec.structs.fields(Config)}
    for name in SETTINGS:
        text = environ.get(f"WITNESS_{name.upper()}")
        if text is not None and name != "tsa":
            values[name] = text.split() if isinstance(defaults[name], tuple) else text
    try:
        return check(msgspec.convert(values, Config, strict=False))
    except msgspec.ValidationError as error:
        raise InvalidInput("config", f"{path}: {error}") from error


def check(config: Config) -> Config:
    """Refuse values that cannot work. Raises: InvalidInput."""
    check_witness_name(config.name)
    for name, value in msgspec.structs.asdict(config).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        # A limit of nothing, or of NaN, would refuse everything or let everything through.
        least = 0.0 if name in _MAY_BE_ZERO else math.ulp(0.0)
        if not least <= value < math.inf:
            raise InvalidInput("config", f"{name} must be a positive number, not {value}")
    for url in config.peers:
        check_url(url)
    if config.webhook:
        check_url(config.webhook)
    for tsa in config.tsa:
        for url in (tsa.url, *tsa.crls):
            check_url(url)
    if len({tsa.name for tsa in config.tsa}) != len(config.tsa):
        raise InvalidInput("config", "two tsa tables have one name")
    if config.log_format not in {"text", "json"}:
        raise InvalidInput("config", f"log_format is text or json, not {config.log_format!r}")
    return config


def check_witness_name(name: str) -> None:
    """Refuse what cannot be the name of a witness, or would not leave room for `/audited`. Raises: InvalidInput."""
    check_name(name)
    if not name.isascii() or not name.isprintable() or '"' in name or "\\" in name:
        raise InvalidInput("config", f"name {name!r} is not printable ASCII as it stands in a URL")
    if "://" in name:
        # C2SP wants a URL without scheme. The name can never be changed, so it is said now.
        raise InvalidInput("config", f"name {name!r} is a URL with its scheme: leave that out")
    if len(name) > MAX_NAME:
        raise InvalidInput("config", f"the name has at most {MAX_NAME} characters")


def check_url(url: str) -> str:
    """The URL prefix without its last slash. Raises: InvalidInput unless it is http(s)://host[:port][/path]."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(mark in url for mark in "?#@ ") or not url.isprintable():
        raise InvalidInput("config", f"{url!r} is not an http or https URL without query and user")
    return url.rstrip("/")


def render(name: str) -> str:
    """The text of a new witness.toml: the name, and every other setting as a comment with its default."""
    defaults = msgspec.to_builtins(Config(name))
    lines = [
        "# Settings of this witness. What is commented out shows the default; the README explains each.",
        "",
        "# In both of its keys, for ever: never change it.",
        f'name = "{name}"',
        "",
    ]
    lines += [
        f"#{setting} = {_toml(value)}" for setting, value in defaults.items() if setting != "name"
    ]
    return "\n".join(lines) + _TSA


_TSA = """
# A timestamp authority; as many tables as you like.
# [[tsa]]
# name = "example"
# url = "https://tsa.example.org/"
# roots = "tsa.example.org.pem"
"""


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
