"""What a witness's directory is made of, and every way in which it can be wrong: settings, keys, store, lists of logs."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import stat
import sys
from pathlib import Path

import lmdb
import pytest

from tests.witness.harness import (
    NAME,
    NOW,
    ORIGIN,
    Times,
    WitnessedLog,
    opened,
)
from tests.witness.matrix import LOG, NEVER
from tlog.core.cosignature import CosignatureSigner
from tlog.core.note import Signer
from tlog.errors import InvalidInput, Refused, TlogError
from witness import config
from witness.cli import main
from witness.keys import load_keys
from witness.logbook import Entry, add_logs, entry, listing, parse_list
from witness.output import JsonLines, TextLines
from witness.output import configure as configure_output
from witness.rows import LogRow
from witness.setup import STORE, beside, init_witness, whole
from witness.store import Store


def test_init_makes_everything_and_overwrites_nothing(tmp_path: Path) -> None:
    """Two keys of two seeds, secret; settings that load; a second time is refused and leaves no trace."""
    directory = tmp_path / "deep" / "witness"
    keys = init_witness(directory, NAME, NOW)

    assert keys.cosigner.name == NAME
    assert keys.audited.name == NAME + "/audited"
    assert keys.cosigner.public_key != keys.audited.public_key
    assert [one.vkey for one in keys.verifiers()] == [keys.cosigner.vkey, keys.audited.vkey]
    for file in ("witness.key", "audited.key", "guard"):
        assert stat.S_IMODE((directory / file).stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert config.load(directory, {}) == config.Config(NAME)
    assert load_keys(directory, NAME).cosigner.skey == keys.cosigner.skey
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(Refused, match="not empty"):
        init_witness(directory, NAME, NOW)
    assert before == {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert os.listdir(directory.parent) == ["witness"]


def test_init_in_a_directory_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, and one behind a link: it stays itself, and a second time is refused."""
    (tmp_path / "w").mkdir()
    (tmp_path / "link").symlink_to("w")
    monkeypatch.chdir(tmp_path / "w")
    for place in (Path(), tmp_path / "link"):
        inode = place.stat().st_ino
        keys = init_witness(place, NAME, NOW)
        assert place.stat().st_ino == inode
        assert load_keys(place, NAME).cosigner.vkey == keys.cosigner.vkey
        with beside(place):
            pass
        with pytest.raises(Refused, match="not empty"):
            init_witness(place, NAME, NOW)
        shutil.rmtree(place / STORE)
        for path in place.iterdir():
            path.unlink()


def test_init_beside_another_init(tmp_path: Path) -> None:
    """What somebody else puts there meanwhile stays, and nothing is added to it."""
    with pytest.raises(Refused, match="not empty"), whole(tmp_path / "w"), whole(tmp_path / "w"):
        raise AssertionError("both began")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a+b",
        "é.example",
        'a"b',
        "a\\b",
        "x" * 248,
        "a\nb",
        "https://witness.example.org/w1",
    ],
)
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    """Nothing is made."""
    with pytest.raises(InvalidInput):
        init_witness(tmp_path / "w", name, NOW)
    assert os.listdir(tmp_path) == []


def test_init_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a witness would be worse than none."""

    def failing(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(config, "render", failing)
    with pytest.raises(OSError, match="disk"):
        init_witness(tmp_path / "w", NAME, NOW)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nme = 'x'", "nme"),
        ("check_interval = 'soon'", "check_interval"),
        ("check_interval = 0", "check_interval"),
        ("clock_tolerance = nan", "clock_tolerance"),
        ("min_free_disk = -1", "min_free_disk"),
        ("peers = 'https://a.example'", "peers"),
        ("peers = ['ftp://a.example']", "ftp"),
        ("peers = ['https://user@a.example']", "user"),
        ("peers = ['https://a.example/?x']", "query"),
        ("peers = ['https://[::1']", "URL"),
        ("log_format = 'xml'", "log_format"),
        ("= =", "witness.toml"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    """Named, not guessed."""
    (tmp_path / config.FILE).write_text(f"name = '{NAME}'\n{text}\n")
    with pytest.raises(InvalidInput, match=message):
        config.load(tmp_path, {})


def test_settings_from_the_environment(directory: Path) -> None:
    """They have precedence; lists are separated by spaces; the rendered file shows every default."""
    environ = {"WITNESS_PEERS": "https://a.example http://b.example/x/", "WITNESS_MAX_WAITING": "5"}
    settings = config.load(directory, environ)
    assert settings.peers == ("https://a.example", "http://b.example/x/")
    assert settings.max_waiting == 5
    text = (directory / config.FILE).read_text()
    assert all(f"\n#{name} = " in text for name in config.SETTINGS if name != "name")
    shown = [re.search(rf"(?m)^#({name} = .*)$", text) for name in config.SETTINGS[1:]]
    lines = [f'name = "{NAME}"', *[found[1] for found in shown if found]]
    (directory / config.FILE).write_text("\n".join(lines))
    assert config.load(directory, {}) == config.Config(NAME)
    with pytest.raises(InvalidInput, match="witness init"):
        config.load(directory / "nowhere", {})


def _other_key(directory: Path) -> None:
    (directory / "witness.key").write_text(CosignatureSigner("x.example", bytes(32)).skey)


def _same_seed(directory: Path) -> None:
    for file, name in (("witness.key", NAME), ("audited.key", NAME + "/audited")):
        (directory / file).write_text(CosignatureSigner(name, bytes(32)).skey)


KEYS = {
    "missing": (lambda directory: (directory / "audited.key").unlink(), "missing"),
    "open to others": (lambda directory: (directory / "witness.key").chmod(0o640), "chmod"),
    "of another witness": (_other_key, "x.example"),
    "one seed": (_same_seed, "same key"),
    "a log's key": (
        lambda directory: (directory / "witness.key").write_text(Signer(NAME, bytes(32)).skey),
        "not a cosigner",
    ),
    "noise": (
        lambda directory: (directory / "witness.key").write_bytes(b"\xff\x00"),
        "not a cosigner",
    ),
}


@pytest.mark.parametrize("what", KEYS)
def test_keys_that_are_wrong(directory: Path, what: str) -> None:
    """Refused before anything is opened; the message shows nothing of the key."""
    spoil, message = KEYS[what]
    spoil(directory)  # type: ignore[no-untyped-call]
    with pytest.raises(TlogError, match=message) as caught:
        opened(directory)
    assert "PRIVATE" not in str(caught.value)


def _truncated(store: Path) -> None:
    with (store / "data.mdb").open("r+b") as file:
        file.truncate(3 * 4096)


def _wiped(store: Path) -> None:
    with (store / "data.mdb").open("r+b") as file:
        file.write(bytes(8192))


def _foreign(store: Path) -> None:
    import lmdb

    shutil.rmtree(store)
    store.mkdir()
    with lmdb.open(os.fspath(store), max_dbs=4) as env:
        env.open_db(b"accounts")


def _nameless(store: Path) -> None:
    import lmdb

    with lmdb.open(os.fspath(store), max_dbs=8) as env, env.begin(write=True) as txn:
        txn.delete(b"identity", db=env.open_db(b"meta", txn=txn))


def _row(key: bytes, value: bytes | None) -> object:
    def spoil(store: Path) -> None:
        import lmdb

        with lmdb.open(os.fspath(store), max_dbs=8) as env, env.begin(write=True) as txn:
            meta = env.open_db(b"meta", txn=txn)
            if value is None:
                txn.delete(key, db=meta)
            else:
                txn.put(key, value, db=meta)

    return spoil


STORES = {
    "missing": (shutil.rmtree, "no store"),
    "without its file": (lambda store: (store / "data.mdb").unlink(), "no store"),
    "empty": (lambda store: (store / "data.mdb").write_bytes(b""), "truncated"),
    "truncated": (_truncated, "truncated"),
    "wiped": (_wiped, "damaged"),
    "of something else": (_foreign, "not a witness store"),
    "cut off at its creation": (_row(b"identity", None), "no identity"),
    "row of noise": (_row(b"identity", b"\xc1"), "no Identity"),
    "without its commit": (_row(b"commit", None), "commit row"),
    "of another format": (
        _row(b"identity", b"\x84\xa6format\x02\xa2id\xc4\x01x\xa4name\xa1x\xa7created\x01"),
        "format 2",
    ),
}


@pytest.mark.parametrize("what", STORES)
def test_stores_that_are_wrong(directory: Path, what: str) -> None:
    """Each is named; none is taken for an empty store; the next open finds the lock free."""
    spoil, message = STORES[what]
    spoil(directory / STORE)  # type: ignore[operator]
    for _ in range(2):
        with pytest.raises(TlogError, match=message):
            opened(directory)


def test_a_store_of_somebody_else(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who may not write there is told so: it is no fault of the program. (The tests may run as root, who may.)"""

    def denied(path: str, **_: object) -> None:
        raise lmdb.ReadonlyError(f"{path}: Permission denied")

    monkeypatch.setattr(lmdb, "open", denied)
    assert main(["evidence", "list", str(directory)]) == 2
    assert "store: Permission denied" in capsys.readouterr().err
    with pytest.raises(InvalidInput):
        opened(directory)


def test_a_store_under_another_name(directory: Path) -> None:
    """Settings and store must be of one witness."""
    text = (directory / config.FILE).read_text().replace(NAME, "x.example")
    (directory / config.FILE).write_text(text)
    (directory / "witness.key").write_text(CosignatureSigner("x.example", bytes(32)).skey)
    (directory / "audited.key").write_text(CosignatureSigner("x.example/audited", b"1" * 32).skey)
    with pytest.raises(InvalidInput, match="the store is that of"):
        opened(directory)
    with pytest.raises(Refused, match="already holds"):
        Store.create(directory / STORE, None)  # type: ignore[arg-type]


def test_an_older_store_gets_what_it_lacks(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that a later version added is there after the next start."""
    monkeypatch.setattr(
        "witness.store.DATABASES", (*__import__("witness.store").store.DATABASES, "new")
    )
    witness = opened(directory)
    assert witness.store.all("new", LogRow) == []
    assert witness.store.clear_stale_readers() == 0
    witness.close()


def test_logs_and_keys_are_only_added(directory: Path) -> None:
    """A second key, a URL where there was none, or a new one; never fewer keys; all of a list or nothing."""
    second = WitnessedLog(4, seed=9)
    with beside(directory) as store:
        assert add_logs(store, [entry(LOG.vkey)], NOW) == (0, 0, ())
        assert add_logs(store, [entry(second.vkey, url="https://a.example")], NOW) == (0, 1, ())
        again = [entry(LOG.vkey), entry(LOG.vkey, url="https://a.example", qpd=5)]
        assert add_logs(store, again, NOW) == (0, 0, ())
        row = store.log(ORIGIN)
        assert row is not None
        assert (row.vkeys, row.url, row.qpd) == ((LOG.vkey, second.vkey), "https://a.example", 0)
        moved = [entry(LOG.vkey, url="https://b.example")]
        assert add_logs(store, moved, NOW) == (0, 0, (ORIGIN,))
        assert add_logs(store, [entry(LOG.vkey)], NOW) == (0, 0, ())
        row = store.log(ORIGIN)
        assert row is not None and row.url == "https://b.example"
        states = {
            one.log.origin: (one.latest and one.latest.size, one.state) for one in listing(store)
        }
        assert states == {ORIGIN: (5, "ok"), NEVER.origin: (None, "ok")}
        store.freeze(NEVER.origin, "x", NOW)
        assert [one.state for one in listing(store)] == ["ok", "frozen"]
        with pytest.raises(InvalidInput):
            add_logs(
                store,
                [entry(WitnessedLog(4, origin="x.example").vkey), Entry("no key", ORIGIN)],
                NOW,
            )
        assert store.log("x.example") is None
        with pytest.raises(Refused, match="not frozen"):
            store.unfreeze(ORIGIN)


def test_a_log_that_has_moved(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped address is put right, and the command says so."""
    words = ["add-log", str(directory), "--vkey", LOG.vkey, "--url"]
    assert main([*words, "https://mistyped.example"]) == 0
    assert "address" not in capsys.readouterr().out
    assert main([*words, "https://log.example"]) == 0
    assert f"{ORIGIN} is read at the new address" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        {"vkey": "x"},
        {"vkey": LOG.vkey[:-2] + "AA"},
        {"vkey": CosignatureSigner("x.example", bytes(32)).vkey},
        {"vkey": LOG.vkey, "origin": ""},
        {"vkey": LOG.vkey, "origin": "a\nb"},
    ],
)
def test_entries_that_cannot_be(arguments: dict[str, str]) -> None:
    """A key that is none, or no log's; an origin that no checkpoint has."""
    with pytest.raises(InvalidInput):
        entry(**arguments)  # type: ignore[arg-type]


LIST = f"""# a list

logs/v0
vkey {LOG.vkey}
qpd 86400
contact somebody (at) example.com
  vkey {NEVER.vkey}
# and another
origin other-than-the-key
qpd 24
contact https://example.com/contact
"""


def test_lists_of_logs() -> None:
    """The format of the witness network, spaces, comments and all."""
    one, two = parse_list(LIST.encode())
    assert (one.vkey, one.origin, one.qpd) == (LOG.vkey, ORIGIN, 86400)
    assert (two.origin, two.qpd, two.contact) == (
        "other-than-the-key",
        24,
        "https://example.com/contact",
    )
    assert parse_list(b"logs/v0\n") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("logs/v0\n", "", "begin with"),
        ("logs/v0", "logs/v1", "begin with"),
        (LIST, "", "begin with"),
        (f"vkey {LOG.vkey}\n", "", "line 4 of the list: vkey is due"),
        ("qpd 86400\n", "", "line 5 of the list: origin or qpd is due"),
        ("qpd 86400\ncontact", "contact x\nqpd 1\n#", "line 5"),
        ("qpd 86400", "qpd 086400", "before line 6"),
        ("qpd 86400", "qpd 0", "2\\^31"),
        ("qpd 86400", f"qpd {1 << 31}", "2\\^31"),
        (LOG.vkey, LOG.vkey[:-2] + "AA", "before line 6"),
        ("contact https://example.com/contact\n", "", "no contact line"),
        ("origin other-than-the-key\n", "origin a\norigin b\n", "qpd is due"),
        ("qpd 24", "bastion none\nqpd 24", "qpd is due"),
        ("somebody", "\ud800", "UTF-8"),
    ],
)
def test_lists_that_are_wrong(old: str, new: str, message: str) -> None:
    """The line at fault is named, and nothing of the list counts."""
    with pytest.raises(InvalidInput, match=message):
        parse_list(LIST.replace(old, new).encode("utf-8", "surrogatepass"))


def test_a_list_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even looked at."""
    monkeypatch.setattr("witness.logbook.MAX_LIST", 10)
    with pytest.raises(InvalidInput, match="larger"):
        parse_list(LIST.encode())


def test_log_lines_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is in a message: a line, or an object per line with the traceback inside."""
    nasty = "a\nb\x1b[31m\u2028c"
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (nasty,), None)
    text = TextLines().format(record)
    assert text.endswith("INFO x a\\nb\\x1b[31m\\u2028c")
    assert json.loads(JsonLines().format(record))["message"] == nasty
    try:
        raise ValueError("inside")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "ValueError: inside" in json.loads(line)["error"]
    before = logging.getLogger().handlers[:]
    configure_output("json")
    logging.getLogger("y").warning("hello")
    assert json.loads(capsys.readouterr().err)["level"] == "warning"
    configure_output("text")
    logging.getLogger().handlers[:] = before


def test_keys_of_one_origin_grow_while_it_runs(directory: Path) -> None:
    """The log rotates: its new key counts from the next request on."""
    witness = opened(directory, Times())
    second = WitnessedLog(16, seed=9)
    assert type(witness.cosigner.judge(second.request(5, 7))).__name__ == "Refuse"
    add_logs(witness.store, [entry(second.vkey)], NOW)
    assert type(witness.cosigner.judge(second.request(5, 7))).__name__ == "Cosign"
    witness.close()
