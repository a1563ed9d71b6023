"""Proves that a sealed payload opens only for its event, that erasure destroys keys down to the bytes of the file, and that
pseudonyms and keys are durable exactly when `flush` says so. Real LMDB files and real second processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlog import keyring, keys
from tlog.cache import Cache
from tlog.core.commitment import commit, verify_commitment
from tlog.errors import CorruptStore, InvalidInput, Refused, Unavailable
from tlog.keys import FileKey
from tlog.store import rows as rows_module
from tlog.vault import DAY_MS, Vault

TENANT, STREAM = "acme", "acme:prod:agent"
ROOT, SALT = b"\x11" * 32, b"\x22" * 32
MS = 1_790_000_000_000
FIELDS: list[tuple[str, Any]] = [
    ("/actor/id", "ada@example.com"),
    ("/payload/score", 0.1),
    ("/payload/whole", 5.0),
    ("/payload/big", 2**53 - 1),
    ("/payload/nested", {"b": [1, None, True, {"é": "\u2028"}], "a": -0.5}),
    ("/payload/text", "\U0001f600"),
]


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """A new vault in tmp_path/keys under tmp_path/kek."""
    made = Vault.create(tmp_path / "keys", FileKey.create(tmp_path / "kek"))
    yield made
    made.close()


def reopened(path: Path) -> Vault:
    return Vault.open(path / "keys", FileKey(path / "kek"))


def seal(vault: Vault, **changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "tenant": TENANT, "stream_id": STREAM, "root": ROOT, "subject": None, "ms": MS,
        "master_salt": SALT, "fields": FIELDS,
    }  # fmt: skip
    return vault.seal(**{**arguments, **changes})


def unseal(vault: Vault, sealed: bytes, **changes: Any) -> tuple[bytes, list[tuple[str, Any]]]:
    arguments: dict[str, Any] = {"tenant": TENANT, "stream_id": STREAM, "root": ROOT}
    return vault.unseal(sealed, **{**arguments, **changes})


def erased(call: Callable[..., object], *arguments: Any, **named: Any) -> bool:
    """Whether the call is refused as erased; any other refusal is a failure of the test."""
    try:
        call(*arguments, **named)
    except Refused as refused:
        return refused.kind == "erased" or pytest.fail(refused.detail)
    return False


def stored(path: Path) -> dict[bytes, bytes]:
    """All rows of a closed vault."""
    with lmdb.open(os.fspath(path / "keys"), readonly=True) as env, env.begin() as txn:
        return dict(txn.cursor())


def file_bytes(path: Path) -> bytes:
    """Every byte of every file in the vault's folder."""
    return b"\0".join(file.read_bytes() for file in (path / "keys").rglob("*") if file.is_file())


@contextmanager
def process(path: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """A second process with the vault open as `vault`; `code` runs, then it waits until we are done with it."""
    script = (
        "import sys, pathlib\n"
        "from tlog.keys import FileKey\nfrom tlog.vault import Vault\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "vault = Vault.open(path / 'keys', FileKey(path / 'kek'))\n"
        f"{code}\nprint('done', flush=True)\nsys.stdin.read()\nvault.close()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, os.fspath(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "done\n"
        yield child


# ---- seal and unseal ---------------------------------------------------------------------------


@pytest.mark.parametrize("person", [None, "person-1"])
def test_round_trip(vault: Vault, tmp_path: Path, person: str | None) -> None:
    """Values come back exactly, at once and after a restart, and recompute the commitment."""
    subject = person and vault.pseudonym(TENANT, "sub", person)
    count, root = commit(FIELDS, SALT)
    sealed = seal(vault, subject=subject, root=root)

    for _ in range(2):
        salt, fields = unseal(vault, sealed, root=root)
        assert salt == SALT
        assert fields == FIELDS
        assert [type(value) for _, value in fields] == [type(value) for _, value in FIELDS]
        verify_commitment(fields, salt, count, root)
        vault.flush()
        vault.close()
        vault = reopened(tmp_path)
    vault.close()


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=8,
)  # fmt: skip


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), values), max_size=4))
def test_any_value_round_trips(vault: Vault, fields: list[tuple[str, Any]]) -> None:
    """Whatever JSON can say comes back the same, type and sign of zero included."""
    assert repr(unseal(vault, seal(vault, fields=fields))[1]) == repr(fields)


def test_layout(vault: Vault) -> None:
    """version, kind, reference, nonce, ciphertext with tag; nothing of the plaintext; two seals differ."""
    subject = vault.pseudonym(TENANT, "sub", "person-1")
    day, other, person = (
        seal(vault, fields=[]),
        seal(vault, fields=[]),
        seal(vault, subject=subject, fields=[]),
    )

    assert day[:2] == b"\1\1"
    assert day[2:6] == (MS // DAY_MS).to_bytes(4, "big")
    assert person[:2] == b"\1\2"
    assert len(day) == 18 + 24 + 32 + 2 + 16
    assert day[:18] == other[:18]
    assert day[18:] != other[18:]
    assert SALT not in day
    assert b"example.com" not in seal(vault)


def test_sealed_payload_belongs_to_its_event(vault: Vault) -> None:
    """Another tenant, stream or root; a shifted boundary between them; another subject's or day's reference."""
    vault.pseudonym("other", "sub", "x")
    seal(vault, tenant="other")
    one, two = (vault.pseudonym(TENANT, "sub", p) for p in ("1", "2"))
    by_day, by_one, by_two = seal(vault), seal(vault, subject=one), seal(vault, subject=two)

    for sealed in (by_day, by_one):
        for change in (
            {"tenant": "other"}, {"tenant": "unknown"}, {"stream_id": "acme:prod:agent2"},
            {"stream_id": ""}, {"root": b"\x12" * 32},
        ):  # fmt: skip
            with pytest.raises(CorruptStore):
                unseal(vault, sealed, **change)
    for header, rest in ((by_one, by_two), (by_two, by_one), (by_day, by_one), (by_one, by_day)):
        with pytest.raises(CorruptStore):
            unseal(vault, header[:18] + rest[18:])
    with pytest.raises(CorruptStore):
        unseal(vault, seal(vault, ms=MS + DAY_MS)[:18] + by_day[18:])
    assert unseal(vault, by_day)[1] == FIELDS


@pytest.mark.parametrize("person", [None, "person-1"])
def test_damage_is_refused(vault: Vault, person: str | None) -> None:
    """Each bit, each shorter length, one byte more. Damage is never taken for an erasure."""
    sealed = seal(vault, subject=person and vault.pseudonym(TENANT, "sub", person))
    wrong = [
        bytes([*sealed[:i], sealed[i] ^ 1 << bit, *sealed[i + 1 :]])
        for i in range(len(sealed))
        for bit in range(8)
    ]
    for other in wrong + [sealed[:size] for size in range(len(sealed))] + [sealed + b"\0"]:
        with pytest.raises(CorruptStore):
            unseal(vault, other)


def test_wrong_sizes_are_program_faults(vault: Vault) -> None:
    """A salt or root of another length would shift what the AAD and the plaintext mean."""
    for change in ({"master_salt": b"x" * 31}, {"root": b"x" * 31}):
        with pytest.raises(AssertionError, match="tlog: a "):
            seal(vault, **change)
    with pytest.raises(AssertionError, match="tlog: a pseudonym"):
        vault.pseudonym(TENANT, "xxx", "p")  # type: ignore[arg-type]


def test_day_keys(vault: Vault, tmp_path: Path) -> None:
    """One key a tenant and UTC day: the same all day, across a restart too, another the next day or tenant."""
    start = MS // DAY_MS * DAY_MS
    first = seal(vault, ms=start)[:18]
    others = {
        seal(vault, ms=start + DAY_MS)[:18],
        seal(vault, ms=start - 1)[:18],
        seal(vault, tenant="b")[:18],
    }
    last = seal(vault, ms=start + DAY_MS - 1)[:18]
    vault.flush()
    vault.close()
    again = reopened(tmp_path)

    assert first == last == seal(again, ms=start)[:18]
    assert len(others | {first}) == 4
    again.close()


def test_tenant_outside_the_grammar(vault: Vault) -> None:
    """A tenant with a NUL could make two contexts alike; it never gets a key."""
    for tenant in ("", "Acme", "a\0b", "a" * 64, "a:b"):
        with pytest.raises(InvalidInput):
            seal(vault, tenant=tenant)
        with pytest.raises(InvalidInput):
            vault.pseudonym(tenant, "usr", "p")


# ---- pseudonyms --------------------------------------------------------------------------------


def test_pseudonyms(vault: Vault, tmp_path: Path) -> None:
    """Stable, across a restart too; distinct by kind, tenant and person; nothing of the person in the file."""
    people = [
        (t, k, p)
        for t in ("acme", "bank")
        for k in ("usr", "sub")
        for p in ("ada@example.com", "bob", "")
    ]
    names = [vault.pseudonym(*who) for who in people]  # type: ignore[arg-type]
    vault.flush()
    vault.close()
    again = reopened(tmp_path)

    assert len(set(names)) == len(people)
    assert all(
        name[:4] == who[1] + "_" and len(name) == 30
        for name, who in zip(names, people, strict=True)
    )
    assert names == [again.pseudonym(*who) for who in people]  # type: ignore[arg-type]
    again.close()
    assert b"ada@example.com" not in file_bytes(tmp_path)


def test_pseudonyms_survive_a_small_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caches forget is found again, pending or stored."""
    monkeypatch.setattr(keyring, "CACHE_LIMIT", 4)
    vault = Vault.create(tmp_path / "keys", FileKey.create(tmp_path / "kek"))
    names = [vault.pseudonym(TENANT, "sub", str(i)) for i in range(50)]
    sealed = [seal(vault, subject=name) for name in names]

    for _ in range(2):
        assert [vault.pseudonym(TENANT, "sub", str(i)) for i in range(50)] == names
        assert all(unseal(vault, box)[1] == FIELDS for box in sealed)
        vault.flush()
    vault.close()


def test_concurrent_threads_agree(vault: Vault) -> None:
    """Threads that meet new persons and days together get one pseudonym and one key for each, while a thread flushes."""
    start = threading.Barrier(4)
    stop = threading.Event()
    seen: list[list[tuple[str, bytes]]] = [[] for _ in range(3)]
    faults: list[BaseException] = []

    def meet(into: list[tuple[str, bytes]]) -> None:
        start.wait()
        try:
            for i in range(300):
                name = vault.pseudonym(TENANT, "sub", str(i))
                day = seal(vault, ms=MS + i // 10 * DAY_MS)
                unseal(vault, seal(vault, subject=name))
                into.append((name, day[:18]))
        except BaseException as fault:
            faults.append(fault)

    def flush() -> None:
        start.wait()
        while not stop.is_set():
            vault.flush()
            time.sleep(0.001)

    threads = [threading.Thread(target=meet, args=(into,)) for into in seen]
    writer = threading.Thread(target=flush)
    for thread in [*threads, writer]:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    writer.join()

    assert not faults
    assert seen[0] == seen[1] == seen[2]
    assert len(set(seen[0])) == 300


# ---- pending and flush -------------------------------------------------------------------------


def test_crash_before_flush_leaves_nothing(vault: Vault, tmp_path: Path) -> None:
    """Closing is not flushing: neither tenant, nor day, nor person were written."""
    name = vault.pseudonym(TENANT, "sub", "p")
    seal(vault)
    vault.close()
    assert set(stored(tmp_path)) == {b"M"}

    again = reopened(tmp_path)
    assert again.pseudonym(TENANT, "sub", "p") != name
    again.close()


def test_killed_after_flush_keeps_everything(vault: Vault, tmp_path: Path) -> None:
    """What flush returned for survives SIGKILL."""
    vault.close()
    code = (
        "name = vault.pseudonym('acme', 'sub', 'p')\nvault.flush()\n"
        "(path / 'name').write_text(name)"
    )
    with process(tmp_path, code) as child:
        child.kill()
    again = reopened(tmp_path)

    assert again.pseudonym(TENANT, "sub", "p") == (tmp_path / "name").read_text()
    again.close()


def test_failed_flush_stays_pending(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush that raises loses nothing and writes nothing; the next one makes all durable."""
    name = vault.pseudonym(TENANT, "sub", "p")
    sealed = seal(vault, subject=name)

    @contextmanager
    def broken(self: Any) -> Iterator[Any]:
        with self._env.begin(write=True) as txn:
            yield txn
            raise lmdb.DiskError("no")

    with monkeypatch.context() as patch:
        patch.setattr(rows_module.Rows, "write", broken)
        with pytest.raises(lmdb.DiskError):
            vault.flush()
    assert unseal(vault, sealed)[1] == FIELDS
    vault.flush()
    vault.close()
    again = reopened(tmp_path)

    assert again.pseudonym(TENANT, "sub", "p") == name
    assert unseal(again, sealed)[1] == FIELDS
    again.close()


def test_made_during_a_flush(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person met while the writer thread is in its transaction is not lost with what was written."""
    vault.pseudonym(TENANT, "sub", "p")
    late: list[str] = []
    write = rows_module.Rows.write

    @contextmanager
    def slow(self: Any) -> Iterator[Any]:
        with write(self) as txn:
            yield txn
            late.append(vault.pseudonym(TENANT, "sub", "late"))

    with monkeypatch.context() as patch:
        patch.setattr(rows_module.Rows, "write", slow)
        vault.flush()
    vault.flush()
    vault.close()
    again = reopened(tmp_path)

    assert late == [again.pseudonym(TENANT, "sub", "late")]
    again.close()


def test_second_maker_of_keys_is_refused(vault: Vault, tmp_path: Path) -> None:
    """Two processes that made a key for the same day: the later flush raises instead of replacing the first key."""
    seal(vault)
    with process(tmp_path, "vault.pseudonym('acme', 'usr', 'p')\nvault.flush()"):
        with pytest.raises(CorruptStore):
            vault.flush()


def test_flush_of_nothing_is_free(vault: Vault) -> None:
    """It does not touch the environment."""
    vault.close()
    vault.flush()


# ---- erasure -----------------------------------------------------------------------------------


@pytest.mark.parametrize("flushed", [True, False])
def test_destroyed_subject(vault: Vault, tmp_path: Path, flushed: bool) -> None:
    """The subject's payloads are gone, now and after a restart; others open; the person starts anew."""
    gone, stays = (vault.pseudonym(TENANT, "sub", p) for p in ("gone", "stays"))
    user = vault.pseudonym(TENANT, "usr", "gone")
    sealed, other = seal(vault, subject=gone), seal(vault, subject=stays)
    if flushed:
        vault.flush()
    vault.destroy_subject(TENANT, gone)

    for _ in range(2):
        assert erased(unseal, vault, sealed)
        assert erased(seal, vault, subject=gone)
        assert unseal(vault, other)[1] == FIELDS
        assert vault.pseudonym(TENANT, "sub", "gone") != gone
        assert vault.pseudonym(TENANT, "sub", "stays") == stays
        assert vault.pseudonym(TENANT, "usr", "gone") == user
        vault.destroy_subject(TENANT, gone)
        vault.flush()
        vault.close()
        vault = reopened(tmp_path)
    vault.destroy_subject(TENANT, user)
    assert vault.pseudonym(TENANT, "usr", "gone") != user
    vault.close()


def test_destroy_what_is_not_there(vault: Vault) -> None:
    """Unknown or foreign pseudonyms, other spellings, unknown tenants: not found."""
    name = vault.pseudonym(TENANT, "sub", "p")
    vault.pseudonym("bank", "sub", "p")
    vault.flush()
    for tenant, text in (
        ("bank", name), ("nobody", name), (TENANT, name.lower()), (TENANT, "usr" + name[3:]),
        (TENANT, name + "0"), (TENANT, ""), (TENANT, "sub_"),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            vault.destroy_subject(tenant, text)
        assert refused.value.kind == "not-found"
    assert vault.pseudonym(TENANT, "sub", "p") == name
    assert not vault.rewrite_due


def test_lost_key_is_not_erased(vault: Vault, tmp_path: Path) -> None:
    """A row that is missing without having been destroyed is damage: nobody may call it an erasure."""
    sealed = seal(vault, subject=vault.pseudonym(TENANT, "sub", "p"))
    vault.flush()
    vault.close()
    for tag in (b"P", b"R"):
        with lmdb.open(os.fspath(tmp_path / "keys")) as env, env.begin(write=True) as txn:
            for row in [key for key, _ in txn.cursor() if key.startswith(tag)]:
                txn.delete(row)
        again = reopened(tmp_path)
        with pytest.raises(CorruptStore):
            unseal(again, sealed)
        again.close()


def test_rewrite_leaves_no_byte(vault: Vault, tmp_path: Path) -> None:
    """After rewrite no file holds a destroyed row's wrapped bytes, the replaced file neither; all others still work."""
    names = [vault.pseudonym(TENANT, "sub", str(i)) for i in range(300)]
    sealed = [seal(vault, subject=name) for name in names]
    vault.flush()
    vault.close()
    before = stored(tmp_path)
    os.link(tmp_path / "keys" / "data.mdb", tmp_path / "old-file")
    vault = reopened(tmp_path)
    for name in names[::7]:
        vault.destroy_subject(TENANT, name)
    vault.close()
    dead = {row: box for row, box in before.items() if row not in stored(tmp_path)}
    dead |= {
        row: box for row, box in before.items() if row[:1] == b"R" and stored(tmp_path)[row] != box
    }
    assert len(dead) == 2 * len(names[::7])
    assert any(box in file_bytes(tmp_path) for box in dead.values()), "the test would prove nothing"

    vault = reopened(tmp_path)
    assert vault.rewrite_due
    vault.rewrite()
    assert not vault.rewrite_due
    for content in (file_bytes(tmp_path), (tmp_path / "old-file").read_bytes()):
        assert not any(box in content for box in dead.values())
    assert sorted(p.name for p in (tmp_path / "keys").iterdir()) == [
        "data.mdb",
        "lock.mdb",
        "users.lock",
    ]
    assert (tmp_path / "keys" / "data.mdb").stat().st_mode & 0o777 == 0o600

    new = vault.pseudonym(TENANT, "sub", "new")
    vault.flush()
    for _ in range(2):
        for i, box in enumerate(sealed):
            if i % 7:
                assert unseal(vault, box)[1] == FIELDS
            else:
                assert erased(unseal, vault, box)
        assert vault.pseudonym(TENANT, "sub", "new") == new
        vault.close()
        vault = reopened(tmp_path)
    vault.close()


def test_rewrite_beside_sealing(vault: Vault) -> None:
    """Threads that seal and flush while the file is replaced again and again lose nothing."""
    stop = threading.Event()
    made: list[tuple[str, bytes]] = []
    faults: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                name = vault.pseudonym(TENANT, "sub", str(len(made)))
                made.append((name, seal(vault, subject=name)))
                vault.flush()
        except BaseException as fault:
            faults.append(fault)

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(10):
        vault.rewrite()
    stop.set()
    worker.join()
    vault._ring._forget()

    assert not faults
    assert made
    assert all(vault.pseudonym(TENANT, "sub", str(i)) == name for i, (name, _) in enumerate(made))
    assert all(unseal(vault, sealed)[1] == FIELDS for _, sealed in made)


def test_rewrite_waits_for_other_processes(vault: Vault, tmp_path: Path) -> None:
    """Who has the old file open would go on writing to it: refused, still due, and done once it has gone."""
    name = vault.pseudonym(TENANT, "sub", "p")
    vault.flush()
    with process(tmp_path, "") as child:
        vault.destroy_subject(TENANT, name)
        for _ in range(2):
            with pytest.raises(Unavailable):
                vault.rewrite()
        assert vault.rewrite_due
        assert child.stdin is not None
        child.stdin.close()
    vault.pseudonym(TENANT, "sub", "q")
    vault.flush()
    vault.rewrite()

    assert not vault.rewrite_due


def test_rewrite_cut_off(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the new file takes its place: the old one is whole, the copy is removed at the next start."""
    name = vault.pseudonym(TENANT, "sub", "p")
    sealed = seal(vault, subject=name)
    vault.flush()

    def crash(self: Any, fresh: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rows_module.Rows, "_swap", crash)
        patch.setattr(rows_module, "_discard", lambda folder: None)
        with pytest.raises(KeyboardInterrupt):
            vault.rewrite()
    assert (tmp_path / "keys" / "fresh" / "data.mdb").exists()
    vault.close()
    again = reopened(tmp_path)

    assert unseal(again, sealed)[1] == FIELDS
    assert not (tmp_path / "keys" / "fresh").exists()
    again.rewrite()
    assert unseal(again, sealed)[1] == FIELDS
    again.close()


def test_erasure_by_another_process(vault: Vault, tmp_path: Path) -> None:
    """A command destroys; the running process refuses within a second although it held the key in memory."""
    name = vault.pseudonym(TENANT, "sub", "p")
    sealed = seal(vault, subject=name)
    vault.flush()
    assert unseal(vault, sealed)[1] == FIELDS
    with process(tmp_path, f"vault.destroy_subject('acme', {name!r})"):
        deadline = time.monotonic() + 1.0
        while not erased(unseal, vault, sealed):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert vault.pseudonym(TENANT, "sub", "p") != name
    assert vault.rewrite_due


def test_own_commit_does_not_hide_an_erasure(vault: Vault, tmp_path: Path) -> None:
    """A flush of ours after a command's commit, before we looked, must not make us blind for it."""
    name = vault.pseudonym(TENANT, "sub", "p")
    sealed = seal(vault, subject=name)
    vault.flush()
    with process(tmp_path, f"vault.destroy_subject('acme', {name!r})"):
        vault._ring.look_at = time.monotonic() + 60  # not yet
        vault.pseudonym(TENANT, "sub", "q")
        vault.flush()
        vault._ring.look()

    assert erased(unseal, vault, sealed)


def test_own_commits_do_not_empty_the_caches(vault: Vault) -> None:
    """Every commit of the log flushes: that must not cost finding every key again."""
    vault.pseudonym(TENANT, "sub", "p")
    vault.flush()
    vault._ring.look()

    assert vault._ring.names.get((TENANT, "sub", "p")) is not None


# ---- opening -----------------------------------------------------------------------------------


def test_wrong_key(vault: Vault, tmp_path: Path) -> None:
    """Another KEK is refused at open, not at the first payload."""
    vault.close()
    with pytest.raises(Refused) as refused:
        Vault.open(tmp_path / "keys", FileKey.create(tmp_path / "other"))
    assert refused.value.kind == "wrong-key"


def test_wrong_key_with_the_right_name(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key's id is only a name; the check value decides."""
    vault.close()
    other = FileKey.create(tmp_path / "other")
    other.key_id = FileKey(tmp_path / "kek").key_id
    with pytest.raises(CorruptStore):
        Vault.open(tmp_path / "keys", other)


def test_create_and_open(vault: Vault, tmp_path: Path) -> None:
    """Creating is separate: never over something, opening never makes anything; files are private."""
    kek = FileKey(tmp_path / "kek")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "keys").iterdir()} == {0o600}
    vault.close()
    with pytest.raises(Refused) as refused:
        Vault.create(tmp_path / "keys", kek)
    assert refused.value.kind == "exists"
    with pytest.raises(InvalidInput):
        Vault.open(tmp_path / "nothing", kek)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput):
        Vault.open(tmp_path / "empty", kek)
    assert not any((tmp_path / "empty").iterdir())


@pytest.mark.parametrize("size", [0, 4096, 3 * 4096])
def test_truncated_file(vault: Vault, tmp_path: Path, size: int) -> None:
    """Refused, not SIGBUS, and not taken for a new database."""
    vault.pseudonym(TENANT, "usr", "p")
    vault.flush()
    vault.close()
    os.truncate(tmp_path / "keys" / "data.mdb", size)
    with pytest.raises(CorruptStore):
        reopened(tmp_path)


def test_store_of_another_kind(tmp_path: Path) -> None:
    """An LMDB environment without the vault's identity is not a vault."""
    kek = FileKey.create(tmp_path / "kek")
    with lmdb.open(os.fspath(tmp_path / "keys")) as env, env.begin(write=True) as txn:
        txn.put(b"x", b"y")
    with pytest.raises(CorruptStore):
        Vault.open(tmp_path / "keys", kek)


def test_rows_cannot_be_exchanged(vault: Vault, tmp_path: Path) -> None:
    """Each row's box put in the place of each other of its length is refused, and so is each with one bit changed."""
    people = [("acme", "1"), ("acme", "2"), ("bank", "1")]
    names = [vault.pseudonym(tenant, "sub", person) for tenant, person in people]
    sealed = [
        seal(vault, tenant=tenant, subject=name)
        for (tenant, _), name in zip(people, names, strict=True)
    ]
    days = [
        seal(vault, tenant=tenant, ms=ms) for tenant in ("acme", "bank") for ms in (MS, MS + DAY_MS)
    ]
    vault.flush()
    vault.close()
    rows = {row: box for row, box in stored(tmp_path).items() if row != b"M"}

    def all_open() -> bool:
        again = reopened(tmp_path)
        try:
            for (tenant, _), box in zip(people, sealed, strict=True):
                unseal(again, box, tenant=tenant)
            for i, box in enumerate(days):
                unseal(again, box, tenant=("acme", "bank")[i // 2])
            return [again.pseudonym(t, "sub", p) for t, p in people] == names
        except CorruptStore:
            return False
        finally:
            again.close()

    def put(row: bytes, box: bytes) -> None:
        with lmdb.open(os.fspath(tmp_path / "keys")) as env, env.begin(write=True) as txn:
            txn.put(row, box)

    assert all_open()
    for row, right in rows.items():
        others = [box for other, box in rows.items() if other != row and len(box) == len(right)]
        for wrong in [
            *others,
            right[:-1] + bytes([right[-1] ^ 1]),
            bytes([right[0] ^ 1]) + right[1:],
        ]:
            put(row, wrong)
            assert not all_open()
        put(row, right)
    assert all_open()


def test_nothing_secret_is_stored_bare(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and the person's pseudonym bytes are in no file unwrapped, save where the row's key must find them."""
    drawn: list[bytes] = []

    def draw(size: int) -> bytes:
        drawn.append(os.urandom(size))
        return drawn[-1]

    monkeypatch.setattr(keyring, "random_bytes", draw)
    name = vault.pseudonym(TENANT, "sub", "p")
    seal(vault)
    seal(vault, subject=name)
    vault.flush()

    secrets = [data for data in drawn if len(data) == keys.KEY_BYTES]
    assert len(secrets) == 3
    assert not any(secret in file_bytes(tmp_path) for secret in secrets)


def test_cache() -> None:
    """Never above its limit; what is asked for survives what is not; clear forgets."""
    cache: Cache[int, int] = Cache(10)
    cache.put(0, 100)
    for i in range(1, 100):
        cache.put(i, i)
        assert cache.find(0) == 100
        assert len(cache) <= 10
    assert cache.find(50) is None
    assert cache.get(0) == 100
    cache.clear()
    assert cache.find(0) is None
    assert len(cache) == 0
