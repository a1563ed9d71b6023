"""The memory that processes share: token buckets that are exact, and a page that never goes back."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tlog.api.limits import Buckets
from tlog.errors import Unavailable
from tlog.workers.buckets import SharedBuckets
from tlog.workers.page import Page


class Clock:
    """Seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(buckets: Buckets | SharedBuckets, key: str, amount: float) -> float | None:
    """Seconds to wait, None if it was taken."""
    try:
        buckets.take(key, amount)
    except Unavailable as error:
        return error.retry_after
    return None


def test_two_tables_are_one_bucket(tmp_path: Path) -> None:
    """Whoever of several draws, it is as if one had drawn from buckets of its own."""
    clock, chance = Clock(), random.Random(3)
    alone = Buckets(10.0, 2.0, clock)
    shared = [SharedBuckets(tmp_path / "b", 10.0, 2.0, clock=clock) for _ in range(3)]
    refused = 0
    for _ in range(3000):
        clock.now += chance.expovariate(20)
        key, amount = f"key{chance.randrange(5)}", chance.choice((1, 1, 1, 7, 100))
        wanted = taken(alone, key, amount)
        assert taken(chance.choice(shared), key, amount) == wanted
        refused += wanted is not None
    assert 100 < refused < 2900
    for one in shared:
        one.close()


def test_a_full_table_gives_up_who_was_there_longest(tmp_path: Path) -> None:
    """Which is most likely full again; nobody takes another's bucket."""
    clock = Clock()
    buckets = SharedBuckets(tmp_path / "b", 0.001, 1000.0, slots=4, clock=clock)
    for number in range(4):
        clock.now += 1
        assert taken(buckets, f"k{number}", 1) is None
        assert taken(buckets, f"k{number}", 1) is not None
    clock.now += 1
    assert taken(buckets, "new", 1) is None  # in the place of k0
    assert taken(buckets, "k1", 1) is not None
    assert taken(buckets, "k3", 1) is not None
    assert taken(buckets, "k0", 1) is None
    buckets.close()


@pytest.mark.e2e
def test_no_token_is_given_twice_by_two_processes(tmp_path: Path) -> None:
    """Each draws as fast as it can until there is nothing left: together exactly the capacity."""
    code = (
        "import sys; from pathlib import Path; from tlog.errors import Unavailable\n"
        "from tlog.workers.buckets import SharedBuckets\n"
        "b = SharedBuckets(Path(sys.argv[1]), 1e-6, 5e10); n = 0; print('ready', flush=True); input()\n"
        "try:\n  while True: b.take('k', 1); n += 1\n"
        "except Unavailable: print(n)\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "b"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for one in both:
        assert one.stdout and one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    counts = [int(one.communicate()[0]) for one in both]
    assert sum(counts) == 50_000
    assert min(counts) > 0


def test_the_page_never_goes_back(tmp_path: Path) -> None:
    """A newer run's page is a new one; what an older commit says later changes nothing."""
    writer = Page(tmp_path / "page", create=True)
    reader = Page(tmp_path / "page", create=False)
    assert (reader.commit, reader.generation) == (0, 0)
    writer.show(7)
    writer.show(5)
    writer.forget(3)
    assert (reader.commit, reader.generation) == (7, 3)
    newer = Page(tmp_path / "page", create=True)
    newer.show(1)
    assert (reader.commit, newer.commit) == (7, 1)
    for page in (writer, reader, newer):
        page.close()
