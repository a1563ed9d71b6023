"""The OpenAPI document is valid OpenAPI 3.1 and says what the code does: every route, method, parameter, answer and kind of
problem that there is, and none that there is not.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import orjson
import pytest
import schemathesis

from tests.api.deployment import Site
from tlog.api import answers, problems
from tlog.api.openapi import document, problems_of, template
from tlog.api.problems import STATUS, URN, status_of, status_of_kind
from tlog.api.query import NoQuery
from tlog.api.routes import ROUTES
from tlog.errors import CorruptStore, InvalidInput, Refused, TlogError, Unavailable
from tlog.events.submission import parse_event

DOCUMENT: dict[str, Any] = orjson.loads(document(ROUTES))
TLOG = Path(inspect.getfile(problems)).parents[1]

each_route = pytest.mark.parametrize(
    "route", ROUTES, ids=lambda route: f"{route.method} {route.path}"
)


def operation(route: Any) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][template(route.path)][route.method.lower()]
    return found


def existing(path: str) -> str:
    """A path of this form of something that there is; of an event, one that there could be."""
    for name, value in (
        ("{event_id}", "evt_00000000000000000000000000"),
        ("{date}", "2026-03-20"),
        ("<label>", "tlog/log/operations"),
        ("<L>", "0"),
        ("<N>[.p/<W>]", "000.p/1"),
    ):
        path = path.replace(name, value)
    return path


def test_it_is_openapi_31() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    broken = orjson.loads(document(ROUTES))
    broken["paths"]["/api/v1/sth"]["get"]["parameters"][0].pop("name")
    with pytest.raises(Exception, match="name"):
        schemathesis.openapi.from_dict(broken).validate()


def test_its_schemas_are_json_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_reference_leads_somewhere() -> None:
    text = orjson.dumps(DOCUMENT).decode()
    for part in text.split('"$ref":"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in DOCUMENT["components"]["schemas"]


def test_it_has_the_routes_that_there_are() -> None:
    documented = {(m.upper(), p) for p, methods in DOCUMENT["paths"].items() for m in methods}
    assert documented == {(route.method, template(route.path)) for route in ROUTES}
    names = [operation(route)["operationId"] for route in ROUTES]
    assert len(set(names)) == len(names)


@each_route
async def test_every_documented_route_exists(site: Site, route: Any) -> None:
    path = existing(route.path)
    await site.published()
    answer = await site.call(route.method, path)
    assert answer.status not in (404, 405)
    if answer.status == 200:
        assert answer.headers["Content-Type"] in operation(route)["responses"]["200"]["content"]


@each_route
def test_an_operation_says_who_and_what(route: Any) -> None:
    shown = operation(route)
    assert shown["summary"].endswith((".", "`status`."))
    schemes = {name for one in shown["security"] for name in one}
    expected = {"API key": {"apiKey"}, "anyone": set()}.get(route.who, {"token"})
    assert schemes == expected
    assert ({} in shown["security"]) == (route.who == "public")
    for status in set(route.success) - {304}:
        assert route.media in shown["responses"][str(status)]["content"]
    assert {one["name"] for one in shown["parameters"] if one["in"] == "path"} == set(
        re.findall(r"\{(\w+)\}", template(route.path))
    )
    queries = {one["name"] for one in shown["parameters"] if one["in"] == "query"}
    assert queries == set(route.query.__struct_encode_fields__)


@each_route
async def test_the_documented_parameters_are_the_ones_there_are(site: Site, route: Any) -> None:
    """Each is known to the handler, and one that is not documented is refused."""
    token = await site.token() if route.who != "API key" else site.keys.both
    path = existing(route.path)
    for name in (*route.query.__struct_encode_fields__, "undocumented"):
        # Given twice: known parameters are refused for that, before their value matters.
        answer = await site.call(
            route.method, path, token, [] if route.body else None, params=[(name, "0"), (name, "0")]
        )
        shown = answer.json()
        if name == "undocumented":
            assert (answer.kind, shown["pointer"]) == ("unknown-parameter", "/undocumented")
        else:
            assert answer.kind in ("repeated-parameter", "invalid-value"), (name, answer)


@each_route
def test_problems_are_documented_by_their_status(route: Any) -> None:
    responses = operation(route)["responses"]
    for kind in [*problems_of(route), "method-not-allowed"]:
        status = str(status_of_kind(kind))
        if int(status) in route.success:
            continue
        content = responses[status]["content"]["application/problem+json"]
        enum = content["schema"]["allOf"][1]["properties"]["type"]["enum"]
        assert URN + kind in enum
        assert kind in responses[status]["description"]
    for status, header in (("401", "WWW-Authenticate"), ("405", "Allow"), ("429", "Retry-After")):
        if status in responses:
            assert header in responses[status]["headers"]


def documented_kinds() -> set[str]:
    return {kind for route in ROUTES for kind in problems_of(route)} | {"method-not-allowed"}


def test_every_kind_with_a_status_of_its_own_is_documented() -> None:
    assert set(STATUS) - documented_kinds() == set()


def raised_kinds(*folders: str) -> dict[str, str]:
    """Kinds in the errors that these modules raise, by family."""
    found: dict[str, str] = {}
    for folder in folders:
        target = TLOG / folder
        for path in sorted(target.rglob("*.py")) if target.is_dir() else [target]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name, first = getattr(node.func, "id", ""), node.args[0]
                if name in ("InvalidInput", "Refused", "Unavailable") and isinstance(
                    first, ast.Constant
                ):
                    found[str(first.value)] = name
    return found


def test_every_kind_that_the_api_raises_is_documented() -> None:
    raised = raised_kinds(
        "api", "events", "core/strict_json.py", "prepare.py", "sequencer/admit.py"
    )
    raised |= raised_kinds("sequencer/loop.py")
    assert len(raised) > 30
    assert set(raised) - documented_kinds() == set()


def test_the_status_of_a_kind_is_that_of_its_error() -> None:
    families: dict[str, type[TlogError]] = {
        "InvalidInput": InvalidInput,
        "Refused": Refused,
        "Unavailable": Unavailable,
    }
    for kind, family in raised_kinds("api", "events", "core", "prepare.py", "sequencer").items():
        if kind in documented_kinds():
            assert (kind, status_of(families[family](kind, ""))) == (kind, status_of_kind(kind))
    assert status_of(CorruptStore("")) == status_of_kind("corrupt-store") == 500


def test_the_documented_examples_are_good() -> None:
    for route in ROUTES:
        for media, content in operation(route).get("requestBody", {}).get("content", {}).items():
            values = [one["value"] for one in content.get("examples", {}).values()]
            if media == "application/x-ndjson":
                values = [orjson.loads(line) for line in content["example"].split("\n")]
            for value in values:
                for one in value if isinstance(value, list) else [value]:
                    if route.handler.__name__ in ("attest", "post_anchor"):
                        msgspec.convert(one, route.body[0])
                    else:
                        parse_event(one)


def test_answers_refuse_what_they_do_not_document() -> None:
    for name in dir(answers):
        kind = getattr(answers, name)
        if (
            isinstance(kind, type)
            and issubclass(kind, msgspec.Struct)
            and kind is not msgspec.Struct
        ):
            assert kind.__struct_config__.forbid_unknown_fields, name
            assert kind.__doc__
    assert NoQuery.__struct_config__.forbid_unknown_fields
