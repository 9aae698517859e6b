"""Changes to the program, each with the test that must notice it, from `tests/faults/mutations/*.toml`.

A mutation names where it is and what it changes, not a line of source text:

    within = "maclip_daemon.library.storage.database.Library.open"  # a function, class, constant or module
    expression = "verify(_, path)"  # or `statement`
    occurrence = 2  # only where it occurs more than once
    replacement = "None"  # without one a statement becomes `pass`
    test = "tests/faults/test_database.py::test_…"
    full = true  # only where the long form of the test alone notices it

The pattern is found in the syntax tree: layout and comments do not matter. In it `_` is any expression,
`f(...)` a call with any arguments, and `name=_` an argument of a call.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class DoesNotFit(Exception):
    """Raised where the program has no such place, or the pattern is not found there exactly once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A changed expression or statement, and the test that must notice."""

    promise: str
    within: str
    test: str
    expression: str = ""
    statement: str = ""
    occurrence: int = 0
    replacement: str = ""
    full: bool = False

    def text(self) -> str:
        """Return the mutation in one line."""
        return f"{self.within}: {self.expression or self.statement} → {self.replacement or 'pass'}"

    def source(self, checkout: Path) -> Path:
        """Return the source file of `within`. Raises `DoesNotFit` when there is none."""
        return _source(self.within, checkout)[0]

    def mutated(self, checkout: Path) -> str:
        """Return the changed text of the source file. Raises `DoesNotFit` when the pattern is not there."""
        path, names = _source(self.within, checkout)
        text = path.read_text(encoding="utf-8")
        scope: ast.AST = ast.parse(text)
        for name in names:
            scope = _definition(scope, name, self.within)
        found = self._found(scope)
        replacement = self.replacement or "pass"
        if self.expression and not isinstance(found, ast.keyword):
            replacement = f"({replacement})"
        changed = _replaced(text, found, replacement)
        ast.parse(changed)
        return changed

    def _found(self, scope: ast.AST) -> ast.expr | ast.keyword | ast.stmt:
        pattern = _parsed_expression(self.expression) if self.expression else _only(self.statement)
        places = sorted(
            (node for node in _nodes(scope) if _matches(pattern, node)),
            key=lambda node: (node.lineno, node.col_offset),
        )
        if len(places) != 1 and not 0 < self.occurrence <= len(places):
            raise DoesNotFit(f"{self.text()}: found {len(places)} times; it must be there once")
        return places[max(self.occurrence, 1) - 1]


def load(folder: Path, promises: list[str]) -> list[Mutation]:
    """Return the mutations of some promises; of all when `promises` is empty."""
    return [
        Mutation(promise=file.stem, **values)
        for file in sorted(folder.glob("*.toml"))
        if not promises or file.stem in promises
        for values in tomllib.loads(file.read_text(encoding="utf-8"))["mutation"]
    ]


def _source(within: str, checkout: Path) -> tuple[Path, list[str]]:
    """Return the file of a dotted name, and the names that remain inside it."""
    parts = within.split(".")
    for length in range(len(parts), 0, -1):
        stem = checkout.joinpath(*parts[:length])
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path, parts[length:]
    raise DoesNotFit(f"{within}: no such module")


def _definition(scope: ast.AST, name: str, within: str) -> ast.AST:
    """Return what a module, class or function defines under a name."""
    for node in ast.walk(scope):
        match node:
            case ast.FunctionDef(name=found) | ast.ClassDef(name=found):
                pass
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)):
                pass
            case _:
                continue
        if found == name and node is not scope:
            return node
    raise DoesNotFit(f"{within}: {name} is not defined there")


def _parsed_expression(text: str) -> ast.expr | ast.keyword:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        [argument] = call.keywords
        return argument


def _only(statement: str) -> ast.stmt:
    [parsed] = ast.parse(statement).body
    return parsed


def _nodes(scope: ast.AST) -> Iterator[ast.expr | ast.keyword | ast.stmt]:
    """Yield what can be replaced: all but targets, annotations' texts and the parts of f-strings."""
    for child in ast.iter_child_nodes(scope):
        is_target = isinstance(getattr(child, "ctx", None), ast.Store | ast.Del)
        if isinstance(child, ast.expr | ast.keyword | ast.stmt) and not is_target:
            yield child
        if not isinstance(child, ast.JoinedStr):
            yield from _nodes(child)


def _matches(pattern: object, node: object) -> bool:
    """Return whether a part of the program is as the pattern says."""
    match pattern:
        case ast.Name(id="_"):
            return isinstance(node, ast.expr)
        case ast.Call(args=[ast.Constant(value=value)], keywords=[]) if value is ...:
            return isinstance(node, ast.Call) and _matches(pattern.func, node.func)
        case ast.expr_context():
            return True
        case ast.AST():
            return type(pattern) is type(node) and all(
                _matches(getattr(pattern, field), getattr(node, field)) for field in pattern._fields
            )
        case list():
            return isinstance(node, list) and len(pattern) == len(node) and all(map(_matches, pattern, node))
    return type(pattern) is type(node) and pattern == node


def _replaced(text: str, node: ast.expr | ast.keyword | ast.stmt, replacement: str) -> str:
    """Return the text with one part of its syntax tree written anew."""
    lines = text.encode().splitlines(keepends=True)
    assert node.end_lineno is not None
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    return (before + replacement.encode() + after).decode()
