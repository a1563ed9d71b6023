"""Accept-Encoding and If-None-Match as RFC 9110 has them."""

from __future__ import annotations

import pytest

from tlog.api.negotiation import matches, prefers_gzip


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "GZIP",
        "x-gzip",
        "gzip, identity",
        "identity, gzip",
        "gzip;q=1.0, identity;q=0.5",
        "br, deflate,\tgzip ; Q=0.001",
        "*",
        "*;q=0.3",
        "identity;q=0, gzip",
        "identity;q=0, *",
        "*;q=0, gzip;q=0.1",
        ", ,gzip,",
    ],
)
def test_gzip_is_wanted(header: str) -> None:
    assert prefers_gzip([header])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "identity",
        "br",
        "gzip;q=0",
        "gzip;q=0.000",
        "gzip;q=0, *",
        "gzip;q=0, *;q=0",
        "*;q=0",
        "identity, gzip;q=0.5",
        "identity, *;q=0.9",
        "identity;q=0.8, gzip;q=0.79",
        # Malformed: it names no coding.
        "gzip;q=2",
        "gzip;q=-1",
        "gzip;q=1.5",
        "gzip;q=0.0001",
        "gzip;q=.5",
        "gzip;level=9",
        "gzip q=1",
        "gzips",
        "g zip",
        "gzip;q=inf",
    ],
)
def test_gzip_is_not_wanted(header: str) -> None:
    assert not prefers_gzip([header])


def test_no_header_is_no_wish_and_several_are_one_list() -> None:
    assert not prefers_gzip([])
    assert prefers_gzip(["br", "gzip;q=0.2"])
    assert not prefers_gzip(["gzip;q=0.2", "identity;q=0.3"])


@pytest.mark.parametrize(
    ("header", "wanted"),
    [("identity;q=0, gzip", True), ("gzip, *;q=0", True), ("gzip", False), ("identity;q=0", False)],
)
def test_what_gains_nothing_is_packed_only_for_those_who_refuse_the_plain_bytes(
    header: str, wanted: bool
) -> None:
    assert prefers_gzip([header], gains=False) is wanted


@pytest.mark.parametrize("header", ['"a"', 'W/"a"', '"x", "a"', ' "x","y" ,W/"a"', "*", " * "])
def test_a_tag_that_matches(header: str) -> None:
    assert matches([header], '"a"')


@pytest.mark.parametrize("header", ["", "a", '"b"', '"ab"', '"xa"', '"A"', "**", '*, "b"'])
def test_a_tag_that_does_not(header: str) -> None:
    assert not matches([header], '"a"')


def test_tags_in_several_headers() -> None:
    assert matches(['"b"', '"a"'], '"a"')
    assert not matches([], '"a"')
