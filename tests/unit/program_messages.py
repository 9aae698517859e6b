"""Find every message that the program can print, log or raise, in its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "maclip_daemon"
PRINTED = {"say", "echo", "confirm", "say_under"}
LOGGED = {"info", "warning", "error", "critical", "exception"}
LIST_HEAD = (
    "# Every message of the program, by the file that shows it. `{…}` stands for what is filled in.\n"
    "# `scripts/test tests/unit/test_message_list.py --renew` writes this; read what has changed.\n"
)


@dataclass(frozen=True)
class Message:
    """One message: where it is, what shows it, and its text."""

    file: str
    line: int
    shown_by: str
    text: str
    values: tuple[str, ...]
    """The expressions that are filled in, as they stand in the source."""
    foreign: tuple[str, ...] = ()
    """Those of them that are the text of another library's exception."""


def all_messages() -> list[Message]:
    """Return every message in source order."""
    trees = {
        path: ast.parse(path.read_text("utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
        if "service_files" not in path.parts
    }
    errors = _error_classes(trees.values())
    return [message for path, tree in trees.items() for message in _messages_in(path, tree, errors)]


def listed(messages: list[Message]) -> str:
    """Return the list of messages, file by file."""
    lines = [LIST_HEAD]
    current = ""
    for message in sorted({(each.file, each.shown_by, each.text) for each in messages}):
        file, shown_by, text = message
        if file != current:
            lines.append(f"\n{file}\n")
            current = file
        lines.append(f"  {shown_by}: {text}\n")
    return "".join(lines)


def _error_classes(trees: Iterator[ast.Module] | object) -> set[str]:
    """Return the names of all classes that descend from MaclipError."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees  # type: ignore[attr-defined]
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"MaclipError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def _messages_in(path: Path, tree: ast.Module, errors: set[str]) -> Iterator[Message]:
    file = str(path.relative_to(PROJECT))
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        shown_by, argument = _shown(node, errors)
        if argument is None:
            continue
        for text in _alternatives(argument):
            values: list[str] = []
            words = _text(text, values)
            if any(character.isalpha() for character in words.replace("{…}", "")):
                foreign = tuple(value for value in values if _is_foreign(value, node, handlers, errors))
                yield Message(file, node.lineno, shown_by, words, tuple(values), foreign)


def _shown(call: ast.Call, errors: set[str]) -> tuple[str, ast.expr | None]:
    """Return what shows a message, and the expression of its text."""
    name = _name(call.func)
    if name in errors and call.args:
        return name, call.args[0]
    if name == "Finding" and len(call.args) > 2:
        return "doctor", call.args[2]
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        if name in LOGGED and call.func.value.id in ("log", "_log") and call.args:
            return "log", call.args[0]
        if name in PRINTED and call.args:
            return name, call.args[-1 if name == "say_under" else 0]
    return "", None


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _alternatives(text: ast.expr) -> Iterator[ast.expr]:
    """Yield the texts of a conditional expression one by one."""
    if isinstance(text, ast.IfExp):
        yield from _alternatives(text.body)
        yield from _alternatives(text.orelse)
    else:
        yield text


def _text(part: ast.expr, values: list[str]) -> str:
    if isinstance(part, ast.Constant) and isinstance(part.value, str):
        return part.value.replace("\n", " ")
    if isinstance(part, ast.JoinedStr):
        return "".join(_text(each, values) for each in part.values)
    if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
        return _text(part.left, values) + _text(part.right, values)
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(inner, ast.IfExp) and all(
        isinstance(each, ast.Constant) for each in (inner.body, inner.orelse)
    ):
        return f"{_text(inner.body, values)}|{_text(inner.orelse, values)}"
    values.append(ast.unparse(inner))
    return "{…}"


def _is_foreign(value: str, call: ast.Call, handlers: list[ast.ExceptHandler], errors: set[str]) -> bool:
    """Tell whether a filled-in value is another library's exception, caught around the call."""
    for handler in handlers:
        if handler.name not in (value, value.removeprefix("str(").removesuffix(")")) or handler.name is None:
            continue
        if not handler.lineno <= call.lineno <= (handler.end_lineno or 0):
            continue
        types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        return not all(each is not None and _name(each) in errors for each in types)
    return False
