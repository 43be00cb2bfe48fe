"""Every small change that can be made to a file: a comparison turned, a statement left out.

Annotations, docstrings, texts and what only a type checker reads are left alone.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["Change", "changes"]

_TURNED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add,
    ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
}  # fmt: skip
# Facts for a reader, which no program looks at.
_ABOUT = re.compile(
    r"(source|checked|date|does|takes|gives|happened|remedy|healed|instead"
    r"|in_force|granted_by|short_lot|long_lot|account_limit)\w* = "
)


class Change(NamedTuple):
    """One change: bytes ``begin`` to ``end`` of the file become ``new``.

    Attributes:
        lines: the first and last line that it concerns.
        shown: the change in words.
    """

    begin: int
    end: int
    new: bytes
    lines: tuple[int, int]
    shown: str


def changes(name: str, source: bytes) -> list[Change]:
    """The changes of a Python or TOML file, from its beginning to its end."""
    return list(_in_data(source) if name.endswith(".toml") else _in_code(source))


def _in_code(source: bytes) -> Iterator[Change]:
    starts = [0, *(found.end() for found in re.finditer(b"\n", source))]
    for node, statement, where in _nodes(ast.parse(source), None, ""):
        before = ast.unparse(node)
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        for after in _variants(node):
            new = ast.unparse(after) if isinstance(after, ast.stmt) else f"({ast.unparse(after)})"
            shown = f"{where}: {before} -> {new}".replace("\n", " ")
            lines = (statement.lineno, node.end_lineno)
            yield Change(begin, end, new.encode(), lines, shown)


def _nodes(node: ast.AST, statement: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    """What may be changed, with the statement and the function that it stands in."""
    if isinstance(node, ast.JoinedStr) or _is_for_types(node):
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    if isinstance(node, ast.stmt):
        statement = node
    if statement is not None and hasattr(node, "lineno"):
        yield node, statement, where or "module"
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns", "decorator_list", "bases"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _nodes(child, statement, where)


def _is_for_types(node: ast.AST) -> bool:
    match node:
        case ast.If(ast.Name("TYPE_CHECKING") | ast.Attribute(_, "TYPE_CHECKING")):
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return "overload" in map(ast.unparse, node.decorator_list)
    return False


def _variants(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901 -- a table
    match node:
        case ast.Compare(ops=[op]) if type(op) in _TURNED:
            yield ast.Compare(node.left, [_TURNED[type(op)]()], node.comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(_TURNED[type(op)](), values)
        case ast.BinOp(left, op, right) if type(op) in _TURNED:
            yield ast.BinOp(left, _TURNED[type(op)](), right)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value + 1)  # type: ignore[operator]
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()


def _in_data(source: bytes) -> Iterator[Change]:
    at = 0
    for number, line in enumerate(source.splitlines(keepends=True), 1):
        found = re.match(rb"[\w-]+ = .*?(?:(\d[\d.]*)|[\"'](?=[\w^(]))", line)
        bare = re.match(rb"[\w-]+ = (true|false)$", line.strip())
        if (found or bare) and not _ABOUT.match(line.decode()):
            begin, end = bare.span(1) if bare else found.span(1) if found[1] else (found.end(),) * 2
            old = line[begin:end]
            new = {b"true": b"false", b"false": b"true", b"": b"x"}.get(old)
            new = b"%d" % (float(old) + 1) if new is None else new
            tomllib.loads((source[: at + begin] + new + source[at + end :]).decode())
            shown = (
                f"{line.decode().strip()} -> {(line[:begin] + new + line[end:]).decode().strip()}"
            )
            yield Change(at + begin, at + end, new, (number, number), shown)
        at += len(line)
