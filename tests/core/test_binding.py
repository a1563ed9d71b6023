"""The smallest step of the bindings: two JSON values are one value, or they are not."""

from __future__ import annotations

import pytest

from tlog.core.binding import same


@pytest.mark.parametrize(
    ("shown", "true"),
    [("a", "a"), (1, 1), (True, True), ([1, "x"], [1, "x"]), ({"a": 1, "b": 2}, {"b": 2, "a": 1})],
)
def test_the_same(shown: object, true: object) -> None:
    """Members in another order are the same object."""
    assert same(shown, true)


@pytest.mark.parametrize(
    ("shown", "true"),
    [
        ("a", "b"),
        (True, 1),
        (1, "1"),
        ([1], [1, 1]),
        (None, "x"),
        (float("nan"), "x"),
        (float("inf"), 1),
        (2**60, "x"),
    ],
)
def test_not_the_same(shown: object, true: object) -> None:
    """What has no canonical form is never the same as what stands in an entry."""
    assert not same(shown, true)
