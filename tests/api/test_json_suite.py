"""JSONTestSuite, each file as the raw value of a payload member: what is no JSON is refused, what is JSON is recorded unless a
limit of ours says otherwise, what readers may decide is decided, and nothing is an error of the server.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.api.deployment import Site
from tests.paths import vectors

SUITE = vectors("jsontestsuite")

#: 32 levels; an integer is within 2^53 - 1, however spelled, and a number is a double; a member stands once.
RANGE, TWICE, LONE = "number-out-of-range", "duplicate-member", "lone-surrogate"
VALID_BUT_REFUSED = {
    "y_number": RANGE,  # 123e65
    "y_number_real_capital_e": RANGE,  # 1E22
    "y_number_real_exponent": RANGE,  # 123e45
    "y_number_real_fraction_exponent": RANGE,  # 123.456e78
    "y_object_extreme_numbers": RANGE,  # 1.0e+28
    "y_object_duplicated_key": TWICE,
    "y_object_duplicated_key_and_value": TWICE,
}
# What readers may decide: tiny numbers are zero; all else is refused.
UNDECIDED_AND_TAKEN = {"i_number_double_huge_neg_exp", "i_number_real_underflow"}


def files(prefix: str) -> list[Path]:
    return sorted(SUITE.glob(f"{prefix}_*.json"))


def event(value: bytes) -> bytes:
    return b'{"event_class":"EXECUTION","event_type":"x","payload":{"v":' + value + b"}}"


def test_the_suite_is_whole() -> None:
    assert [len(files(prefix)) for prefix in "yni"] == [95, 188, 35]


async def test_what_is_no_json_is_refused(site: Site) -> None:
    token = await site.token()
    before = site.root
    for path in files("n"):
        for data in (event(path.read_bytes()), path.read_bytes()):
            answer = await site.call("POST", "/api/v1/events", token, data=data)
            assert (path.name, 400 <= answer.status < 500) == (path.name, True), answer
            assert answer.kind in ("invalid-json", "not-utf8", "too-deep", "byte-order-mark"), (
                path.name,
                answer,
            )
    assert site.root == before


async def test_what_is_json_is_recorded(site: Site) -> None:
    token = await site.token()
    for path in files("y"):
        answer = await site.call("POST", "/api/v1/events", token, data=event(path.read_bytes()))
        refusal = VALID_BUT_REFUSED.get(path.stem)
        if refusal is not None:
            assert (path.name, answer.status, answer.kind) == (path.name, 422, refusal)
            assert answer.json()["pointer"].startswith("/payload/v")
            continue
        assert (path.name, answer.status) == (path.name, 201), answer
        shown = await site.get(f"/events/{answer.json()['event_id']}", token)
        assert shown.json()["payload"]["v"] == orjson.loads(path.read_bytes()), path.name
        assert shown.json()["verified"] is True
    site.check()


async def test_what_readers_may_decide(site: Site) -> None:
    token = await site.token()
    for path in files("i"):
        answer = await site.call("POST", "/api/v1/events", token, data=event(path.read_bytes()))
        taken = path.stem in UNDECIDED_AND_TAKEN
        assert (path.name, answer.status == 201) == (path.name, taken), answer
        assert answer.status < 500


@pytest.mark.parametrize("prefix", ["y", "n", "i"])
async def test_as_a_whole_body_or_a_batch_nothing_is_an_error_of_the_server(
    site: Site, prefix: str
) -> None:
    token = await site.token()
    before = site.root
    for path in files(prefix):
        data = path.read_bytes()
        for target in ("/api/v1/events", "/api/v1/events/batch"):
            answer = await site.call("POST", target, token, data=data)
            assert (path.name, 400 <= answer.status < 500) == (path.name, True), answer
        answer = await site.call("POST", "/api/v1/attest", site.keys.both, data=data)
        assert (path.name, 400 <= answer.status < 500) == (path.name, True), answer
    assert site.root == before
