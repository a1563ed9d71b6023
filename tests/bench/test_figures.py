"""What is printed, drawn and compared; and that a peer's answers are checked as strictly as ours."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from conformance.verifier.tiles import tiles_of
from tests.bench import figures, load, peers, plots, tessera_log
from tests.bench.golang import Missing
from tests.bench.job import Result
from tests.bench.tessera_log import MODULE, ORIGIN, Tessera, Tiles, verify_entry
from tests.paths import REPOSITORY
from tlog.core.checkpoint import Checkpoint
from tlog.core.hashes import leaf_hash
from tlog.core.merkle import root_of
from tlog.errors import VerificationError

MEASURED = {
    "single lean, 16 clients: events/s": 900.0,
    "single lean, 64 clients: events/s": 1000.0,
    "single lean, 64 clients: p50 ms": 2.0,
    "single lean, 64 clients: p99 ms": 20.0,
    "batch of 1000 lean: events/s": 140_000.0,
}


def test_floors_are_ratios() -> None:
    assert figures.met(150, (100, figures.LEAST)) == (1.5, True)
    assert figures.met(50, (100, figures.LEAST)) == (0.5, False)
    assert figures.met(20, (10, figures.MOST)) == (0.5, False)
    assert figures.met(10, (10, figures.MOST)) == (1.0, True)
    p99, batch, missing = figures.floors(
        MEASURED,
        {
            "single lean, 64 clients: p99 ms": (10, figures.MOST),
            "batch of 1000 lean: events/s": (70_000, figures.LEAST),
            "SDK: events/s": (1, figures.LEAST),
        },
    ).splitlines()
    assert p99.split()[-6:] == ["0.50", "x", "0.50", "x", "NOT", "MET"]
    assert batch.split()[-5:] == ["2.00", "x", "2.00", "x", "met"]
    assert missing == "Not measured: SDK"


def test_floors_at_the_speed_of_this_machine() -> None:
    """Half as fast a machine doubles what a rate or a time is worth, and leaves ratios and sizes alone."""
    measured = {
        "a: events/s": 50.0,
        "b: entries/s per core": 50.0,
        "c: p99 ms": 20.0,
        "d: s": 20.0,
        "e: ratio": 0.5,
        "f: RssAnon MB": 20.0,
        "machine: M sha256/s after b": figures.FLOOR_SHA256 / 2,
        "machine: M sha256/s before": figures.FLOOR_SHA256 / 2,
        "machine, 64 clients: M sha256/s": figures.FLOOR_SHA256 / 4,
    }
    limits = {name: (100, figures.LEAST) for name in list(measured)[:2]}
    limits |= {name: (10, figures.MOST) for name in list(measured)[2:4]}
    limits |= {"e: ratio": (1, figures.LEAST), "f: RssAnon MB": (10, figures.MOST)}
    lines = figures.floors(measured, limits).splitlines()
    assert [line.split()[-6:-2] for line in lines] == [["0.50", "x", "1.00", "x"]] * 4 + [
        ["0.50", "x", "0.50", "x"]
    ] * 2
    assert figures.speed({}) == 1.0


def test_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "BUILD", tmp_path)
    monkeypatch.setattr(plots, "find_spec", lambda _: None)
    facts = figures.described({"seconds": 1})
    figures.finish("bench", dict(MEASURED), facts, figures.FLOORS)
    (path,) = tmp_path.glob("bench-*.json")
    written = json.loads(path.read_text())
    assert written["figures"] == MEASURED
    assert written["generator"] == load.described()
    assert written["options"] == {"seconds": 1}
    text = path.with_suffix(".txt").read_text()
    assert capsys.readouterr().out.startswith(text)
    assert "batch of 1000 lean: events/s                                  140,000" in text


def test_lines_of_the_plots() -> None:
    assert plots.collect(MEASURED, plots.SIDES, "events/s") == {"lean": {16: 900.0, 64: 1000.0}}
    sides = {
        "tlog, 64 clients: p50 ms": 1.0,
        "tlog --workers 2, 64 clients: p50 ms": 2.0,
        "Tessera, 1024 clients: p50 ms": 3.0,
        "tlog, submit to verified proof, 64 clients: p50 ms": 4.0,
        "tlog / Tessera, 64 clients: p50 ratio": 5.0,
    }
    assert plots.collect(sides, plots.SIDES, "p50 ms") == {
        "tlog": {64: 1.0},
        "tlog --workers 2": {64: 2.0},
        "Tessera": {1024: 3.0},
    }
    growth = {"growth to 1,000,000: events/s": 7.0, "proof at 10,000: µs": 8.0}
    assert plots.collect(growth, plots.SIZES, "events/s") == {"growth to": {1_000_000: 7.0}}
    assert plots.draw({}, Path("x.json")) == "nothing to plot"


def test_without_matplotlib_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _: None)
    assert plots.draw(MEASURED, tmp_path / "x.json") == plots.MISSING
    assert not list(tmp_path.iterdir())


def test_plots_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert plots.draw(MEASURED, tmp_path / "x.json") == "x-clients.png"
    assert (tmp_path / "x-clients.png").read_bytes().startswith(b"\x89PNG")


def test_without_go_peers_are_skipped_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["peers"])
    with pytest.raises(Missing, match="no go"):
        tessera_log.program()
    peers.main()
    expected = "Tessera is skipped, and with it the comparison: no go on this machine\n"
    assert capsys.readouterr().out == expected


def test_the_peer_is_of_the_version_that_conformance_reads_with() -> None:
    def version(path: Path) -> str:
        lines = path.read_text().splitlines()
        return next(
            line.split()[-1] for line in lines if "tessera v" in line and "indirect" not in line
        )

    pinned = version(REPOSITORY / "conformance" / "peers" / "go" / "go.mod")
    assert f"tessera {pinned}" in (MODULE / "go.mod").read_text()


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700, 66_000])
def test_proofs_from_tiles(size: int) -> None:
    bodies = [b"entry %d" % index for index in range(size)]
    leaves = [leaf_hash(body) for body in bodies]
    head = Checkpoint(ORIGIN, size, root_of(leaves))
    tiles = Tiles("http://nobody.invalid", size)
    tiles.tiles = dict(tiles_of(leaves))
    for index in {0, size // 2, max(0, size - 257), size - 1}:
        verify_entry(bodies[index], index, head, tiles)
        with pytest.raises(VerificationError):
            verify_entry(bodies[index] + b"!", index, head, tiles)
    other = Checkpoint(ORIGIN, size, hashlib.sha256(b"").digest())
    with pytest.raises(VerificationError):
        verify_entry(bodies[0], 0, other, tiles)


def test_a_peer_that_counts_twice_is_noticed(tmp_path: Path) -> None:
    server = Tessera(tmp_path / "tessera", Path("/nowhere"))
    with pytest.raises(RuntimeError, match="one index"):
        server.check(Result("lie", samples=[(b"a", b"3"), (b"b", b"3")]), 0)
