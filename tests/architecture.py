"""The checker of the house rules: what a module imports, and how it is written, read from its syntax tree.

Every check takes a `Module` and yields one line per violation, `tlog.core.x:12 …`, so that `test_architecture` can also run
it over planted faults. An import counts wherever it stands: at the top, in a function, under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MODULE_LINES = 300
FUNCTION_LINES = 50
OURS = ("tlog", "witness", "conformance")

STDLIB = sys.stdlib_module_names | {"tomllib"}  # from 3.11, and here even when 3.10 runs the test

# What a function may use whose result depends on its arguments alone.
PURE_STDLIB = frozenset(
    "__future__ abc base64 binascii bisect calendar collections contextlib copy dataclasses datetime enum functools hashlib"
    " heapq hmac ipaddress itertools json math operator re string struct types typing unicodedata".split()
)
_IMPURE_NAMES = frozenset("open input print exec eval compile __import__ breakpoint".split())
# datetime.now(), Ed25519PrivateKey.generate(), AESGCM.generate_key(): the clock and the random pool by the back door.
_IMPURE_METHODS = frozenset("now utcnow today generate generate_key file_digest".split())

_BARE_IGNORE = re.compile(r"#\s*type:\s*ignore(?!\[\w)|#\s*noqa(?!:\s*[A-Z])")
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
_MACHINE_PATH = re.compile(r"[\"'` ]/(work|home|root|Users|tmp/\w)/?\w*")


@dataclass(frozen=True)
class Module:
    """One source file: dotted name, text, syntax tree."""

    name: str
    source: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)


def load(root: Path, package: str) -> Iterator[Module]:
    """Every module below root/package."""
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        yield Module(name, path.read_text(encoding="utf-8"), is_package)


def within(name: str, prefix: str) -> bool:
    """Whether `name` is the module `prefix` or lies below it."""
    return name == prefix or name.startswith(prefix + ".")


def imports(module: Module, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import; `from a import b` is `a.b` if that is a module we know, else `a`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                is_module = full in known or full == "aiohttp.web"
                yield node.lineno, full if is_module else base


def _top(name: str) -> str:
    return name.partition(".")[0]


def row_of(name: str, rows: Collection[str]) -> str | None:
    """The most specific row that `name` lies in."""
    return max((row for row in rows if within(name, row)), key=len, default=None)


def check_arrows(
    module: Module, arrows: Mapping[str, Collection[str]], known: Collection[str]
) -> Iterator[str]:
    """Imports of our own modules that the table does not have, and modules that it does not have."""
    row = row_of(module.name, arrows)
    if row is None or (row == "tlog" and module.name != "tlog"):
        yield f"{module.name}: no row in the table of arrows"
        return
    allowed = [*arrows[row]] if row == "tlog" else [row, *arrows[row]]
    for line, target in imports(module, known):
        if target.startswith("."):
            yield f"{module.name}:{line} imports {target}: write the absolute name"
        elif target == "tlog" and row.startswith("tlog."):
            continue  # the version; importing the package imports nothing
        elif _top(target) in OURS and not any(within(target, prefix) for prefix in allowed):
            yield f"{module.name}:{line} imports {target}: {row} -> {' '.join(arrows[row])}"


def check_libraries(
    module: Module, libraries: Mapping[str, Collection[str]], known: Collection[str]
) -> Iterator[str]:
    """Imports of third-party packages by modules that the table does not name."""
    for line, target in imports(module, known):
        top = _top(target)
        if top in OURS or top in STDLIB or not top:
            continue
        row = row_of(target, libraries)
        if row is None:
            yield f"{module.name}:{line} imports {target}: not a dependency in the table"
        elif not any(within(module.name, user) for user in libraries[row]):
            yield f"{module.name}:{line} imports {target}: only {' '.join(libraries[row])}"


def check_pure(module: Module, known: Collection[str]) -> Iterator[str]:
    """I/O, clock, randomness, threads, logging: by import of what is not known to be pure, or by a call."""
    for line, target in imports(module, known):
        top = _top(target)
        if top in STDLIB and top not in PURE_STDLIB:
            yield f"{module.name}:{line} imports {target}: not pure"
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        call = node.func
        if isinstance(call, ast.Name) and call.id in _IMPURE_NAMES:
            yield f"{module.name}:{node.lineno} calls {call.id}(): not pure"
        elif isinstance(call, ast.Attribute) and call.attr in _IMPURE_METHODS:
            yield f"{module.name}:{node.lineno} calls .{call.attr}(): not pure"


def check_size(module: Module, longer: Mapping[str, int]) -> Iterator[str]:
    """Modules and functions that are too long; `longer` gives single modules a limit of their own."""
    lines = module.source.count("\n")
    limit = longer.get(module.name, MODULE_LINES)
    if lines > limit:
        yield f"{module.name}: {lines} lines, limit {limit}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{module.name}:{node.lineno} {node.name}(): {lines} lines, limit {FUNCTION_LINES}"


def check_writing(module: Module) -> Iterator[str]:
    """assert (gone under -O), suppressions without a code, unfinished work, paths of one machine."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert):
            yield f"{module.name}:{node.lineno} assert: raise AssertionError, -O removes the statement"
    for token in tokenize.generate_tokens(io.StringIO(module.source).readline):
        if token.type == tokenize.COMMENT and _BARE_IGNORE.search(token.string):
            yield f"{module.name}:{token.start[0]} {token.string}: name the rule that is ignored"
    for line, text in enumerate(module.source.splitlines(), 1):
        for pattern in (_UNFINISHED, _MACHINE_PATH):
            if match := pattern.search(text):
                yield f"{module.name}:{line} {match.group().strip()}"


def check_docstrings(module: Module) -> Iterator[str]:
    """Public modules, classes, functions and methods without a docstring. What is nested in a function is not public."""
    if not module.is_package and ast.get_docstring(module.tree) is None:
        yield f"{module.name}: no docstring"
    for name, node in _public(module.tree, ""):
        if ast.get_docstring(node) is None:
            yield f"{module.name}:{node.lineno} {name}: no docstring"


def _public(
    parent: ast.Module | ast.ClassDef, prefix: str
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in parent.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_") or any(_is_copy(mark) for mark in node.decorator_list):
            continue
        if not _is_declaration(node):
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _public(node, f"{prefix}{node.name}.")


def _is_declaration(node: ast.stmt) -> bool:
    """A protocol's `def read(self) -> bytes: ...`: the class says what it is for."""
    body = getattr(node, "body", [])
    return [ast.unparse(line) for line in body] == ["..."]


def _is_copy(mark: ast.expr) -> bool:
    """overload, x.setter: the docstring is on another definition of the same name."""
    name = mark.attr if isinstance(mark, ast.Attribute) else getattr(mark, "id", "")
    return name in {"overload", "setter", "deleter", "override"}
