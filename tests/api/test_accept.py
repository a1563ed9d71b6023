"""Accept as RFC 9110 section 12.5.1 has it: the most specific range decides, weights compare, ties keep our order."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from tlog.api.accept import COSE_FORM, JSON_FORM, TEXT_FORM, Form, choose
from tlog.errors import Refused

ALL = (JSON_FORM, COSE_FORM, TEXT_FORM)


def chosen(*headers: str, offered: tuple[Form, ...] = ALL) -> Form | None:
    """What is chosen for these header fields; None if nothing is acceptable."""
    fields = CIMultiDict([("Accept", value) for value in headers])
    try:
        return choose(make_mocked_request("GET", "/", headers=fields), *offered)
    except Refused:
        return None


CASES: dict[str, Form | None] = {
    "*/*": JSON_FORM,
    "application/*": JSON_FORM,
    "text/*": TEXT_FORM,
    "application/json": JSON_FORM,
    "APPLICATION/JSON": JSON_FORM,
    "application/json; charset=utf-8": JSON_FORM,
    "application/json; charset=latin-1": None,
    "application/cose": COSE_FORM,
    'application/cose; cose-type="cose-sign1"': COSE_FORM,
    'application/cose;Cose-Type="COSE-SIGN1"': COSE_FORM,
    "application/cose;cose-type=cose-sign1": COSE_FORM,
    'application/cose;cose-type="cose\\-sign1"': COSE_FORM,
    "application/cose; cose-type=cose-mac": None,
    "application/cose; other=1": None,
    "text/plain": TEXT_FORM,
    "text/plain; charset=UTF-8": TEXT_FORM,
    "text/plain; charset=latin-1": None,
    "text/html": None,
    "": None,
    "application/json;q=0": None,
    "application/json;q=0.000, */*;q=0": None,
    "application/json;q=0, */*": COSE_FORM,
    "application/json;q=0, application/*": COSE_FORM,
    "application/json;q=0.5, application/cose": COSE_FORM,
    "application/json;q=0.5, application/cose;q=0.4": JSON_FORM,
    "*/*;q=0.1, text/plain;q=0.2": TEXT_FORM,
    "application/*;q=0.2, */*;q=0.9": TEXT_FORM,
    "application/cose, */*;q=0.001": COSE_FORM,
    # The range with more parameters is more specific.
    "application/cose;q=0.1, application/cose;cose-type=cose-sign1;q=0.9, text/plain;q=0.5": COSE_FORM,
    "application/cose;q=0.9, application/cose;cose-type=cose-sign1;q=0.1, text/plain;q=0.5": TEXT_FORM,
    # A comma or a semicolon inside quotes separates nothing.
    'text/plain;note="a,application/json;b", application/cose': COSE_FORM,
    # What follows a weight is an extension.
    "application/cose;q=1;level=1": COSE_FORM,
    # What is malformed names nothing.
    "application/json;q=2, text/plain": TEXT_FORM,
    "application/json;q=0.1234, text/plain": TEXT_FORM,
    "application/json;q=-1, text/plain": TEXT_FORM,
    "application/json;=, text/plain": TEXT_FORM,
    "application, text/plain": TEXT_FORM,
    "application/json x, text/plain": TEXT_FORM,
    "application/json;, text/plain;q=0.9": JSON_FORM,
    ", ,text/plain,": TEXT_FORM,
    '"': None,
    "*/json": None,
}  # fmt: skip


@pytest.mark.parametrize("header", CASES)
def test_accept(header: str) -> None:
    assert chosen(header) == CASES[header]


def test_no_header_is_the_first_form() -> None:
    assert chosen() == JSON_FORM
    assert chosen(offered=(TEXT_FORM,)) == TEXT_FORM


def test_the_refusal_says_what_there_is() -> None:
    request = make_mocked_request("GET", "/", headers=CIMultiDict(Accept="image/png"))
    with pytest.raises(Refused, match="application/json, application/cose; cose-type") as refused:
        choose(request, *ALL)
    assert refused.value.kind == "not-acceptable"


def test_fields_are_one_list() -> None:
    assert chosen("application/json;q=0.1", "text/plain") == TEXT_FORM


def test_only_what_is_offered() -> None:
    assert chosen("text/plain", offered=(JSON_FORM, COSE_FORM)) is None


@given(st.text(alphabet='ab/*;,="\\ q01.', max_size=40))
def test_nothing_raises_anything_else(header: str) -> None:
    assert chosen(header) in (None, *ALL)
