"""Sync and async modules are twins: without ``async`` and ``await`` they are the same code.

Each module of a pair is written out anew without docstrings and imports, the async one with the
words of the sync one. What both define must then be equal but for the lines listed here, each with
its reason. What the sync module alone defines, its twin imports: that is listed too.
"""

from __future__ import annotations

import ast
import difflib
import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

TRANSPORT = Path(__file__).parents[1] / "modelscope_transport"

# Words of the async module, and those of the sync one.
_WORDS = (
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b_Async(?=[A-Z])", "_"),
    (r"\bAsync(Iterator|Iterable|Generator)\b", r"\1"),
    (r"Awaitable\[(\w+)\]", r"\1"),
    (r"__a(iter|next|enter|exit)__", r"__\1__"),
    (r"\b__enter\b", "__enter"),
    (r"StopAsyncIteration", "StopIteration"),
    (r"\ba(iter|next|send|close|settle|reserve|blocked|record_block|observe)\(", r"\1("),
    (r"\ba(close)\b", r"\1"),
    (r"\bacquire_async\b", "acquire"),
    (r"\basync_driver\b", "driver"),
    (r"\basyncio\.sleep\b", "time.sleep"),
)


class Pair(NamedTuple):
    """A sync module and its twin.

    Attributes:
        sync: the sync module.
        asynchronous: the async one.
        shared: what only the sync module defines, for both.
        allowed: blocks of lines that only one of them has, ``-`` the sync one, ``+`` the async one;
            by the reason for them.
    """

    sync: str
    asynchronous: str
    shared: frozenset[str] = frozenset()
    allowed: Mapping[str, str] = MappingProxyType({})


PAIRS = (
    Pair(
        "client/sync.py",
        "client/aio.py",
        allowed={
            "the sync client leads to the async one": """
                - @functools.cached_property
                - def aio(self) -> AsyncClient:
                - return AsyncClient._of(self._core)
            """,
            "threads run on when one has failed, tasks are cancelled": """
                - with ThreadPoolExecutor(workers, thread_name_prefix='modelscope-embed') as pool:
                - futures = [pool.submit(work) for _ in range(workers)]
                - for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                - future.result()
                - batches.drop()
                + tasks = [asyncio.create_task(work()) for _ in range(workers)]
                + asyncio.gather(*tasks)
                + for task in tasks:
                + task.cancel()
                + asyncio.gather(*tasks, return_exceptions=True)
            """,
        },
    ),
    Pair(
        "client/streams.py",
        "client/async_streams.py",
        shared=frozenset({"WholeAnswer"}),
        allowed={
            "a list is no async iterator": """
                + def deltas() -> Iterator[ChatDelta]:
                + yield whole.delta()
                - return cls(iter([whole.delta()]), _nothing, whole)
                + return cls(deltas(), _nothing, whole)
            """,
            "an event loop closes the generators that were dropped in it, once they have begun": """
                - weakref.finalize(made, exchange.close)
                + next(made)
                + yield ChatDelta()
            """,
        },
    ),
    Pair(
        "client/reuse.py",
        "client/async_reuse.py",
        shared=frozenset(
            {
                "ReuseRules",
                "Singleflight",
                "_Outcome",
                "_KEPT",
                "_runs_loop",
                "late",
                "raised_anew",
            }
        ),
        allowed={
            "a sync call must not wait in a thread whose event loop may be making the call": """
                - if self._singleflight is None or key is None or _runs_loop():
                + if self._singleflight is None or key is None:
            """,
            "futures of threads and of loops are waited for in different words": """
                - shared = call.result(max(0.0, deadline - time.monotonic()))
                + with asyncio.timeout(deadline - time.monotonic()):
                + shared = asyncio.shield(asyncio.wrap_future(call))
                - except FutureTimeoutError:
                + except TimeoutError:
            """,
            "a cache of files is asked in a thread": """
                + T = TypeVar('T')
                + def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
                + if self._cache is not None and self._cache.blocking:
                + return finish_in_thread(work, *args)
                + return work(*args)
            """,
        },
    ),
    Pair("calls/driver.py", "calls/async_driver.py"),
    Pair("calls/exchange.py", "calls/async_exchange.py", shared=frozenset({"Holdings", "Service"})),
    Pair(
        "http/reply.py",
        "http/async_reply.py",
        shared=frozenset({"BROKEN", "DRAIN", "ReplyHead"}),
        allowed={
            "join takes no async iterator": """
                - return b''.join(self.chunks)
                + return b''.join([data for data in self.chunks])
            """,
        },
    ),
)


class _Bare(ast.NodeTransformer):
    """Takes away docstrings, imports, ``async`` and ``await``, and threads beside a loop."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [part for part in body if not _is_docstring(part) and not _is_import(part)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit(ast.copy_location(ast.FunctionDef(**_fields(node)), node))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.visit(ast.copy_location(ast.With(**_fields(node)), node))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.visit(ast.copy_location(ast.For(**_fields(node)), node))

    def visit_For(self, node: ast.For) -> ast.AST:
        """A loop that only hands on is ``yield from``, which async generators have not."""
        self.generic_visit(node)
        given = node.body[0].value if isinstance(node.body[0], ast.Expr) else None
        if len(node.body) > 1 or not isinstance(given, ast.Yield) or given.value is None:
            return node
        hands_on = ast.unparse(given.value) == ast.unparse(node.target)
        return ast.Expr(ast.YieldFrom(node.iter)) if hands_on else node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What is done in a thread, so that it does not hold up a loop, is done."""
        self.generic_visit(node)
        if ast.unparse(node.func) in ("asyncio.to_thread", "self._off_loop"):
            return ast.Call(node.args[0], node.args[1:], node.keywords)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.is_async = 0
        return node


def _fields(node: ast.AST) -> dict[str, Any]:
    return {name: getattr(node, name) for name in node._fields}


def _is_docstring(node: ast.AST) -> bool:
    found = node.value if isinstance(node, ast.Expr) else None
    return isinstance(found, ast.Constant) and isinstance(found.value, str)


def _is_import(node: ast.AST) -> bool:
    if isinstance(node, ast.If):  # of ``TYPE_CHECKING`` alone
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.Import | ast.ImportFrom)


def _name(node: ast.AST) -> str:
    """The name of what a statement at a module's top defines."""
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target)
    if isinstance(node, ast.If):
        return ast.unparse(node.test)
    return str(getattr(node, "name", ""))


@functools.cache
def code_of(
    text: str, *, is_async: bool = False, without: frozenset[str] = frozenset()
) -> list[str]:
    """The lines of a module that are compared.

    Args:
        text: the module.
        is_async: whether its words are brought to those of the sync one.
        without: names of what is not compared.
    """
    tree = _Bare().visit(ast.parse(text))
    tree.body = [part for part in tree.body if _name(part) not in {"__all__", *without}]
    lines = ast.unparse(ast.fix_missing_locations(tree))
    for word, other in _WORDS if is_async else ():
        lines = re.sub(word, other, lines)
    return [line.strip() for line in lines.splitlines() if line.strip()]


def differences(pair: Pair, sync: str, asynchronous: str) -> Counter[str]:
    """The lines that only one of two modules has, ``-`` the sync one, ``+`` the async one."""
    lines = code_of(sync, without=pair.shared), code_of(asynchronous, is_async=True)
    compared = list(difflib.unified_diff(*lines, n=0, lineterm=""))[2:]
    return Counter(f"{line[0]} {line[1:]}" for line in compared if line[0] in "+-")


def allowed(pair: Pair) -> Counter[str]:
    blocks = "\n".join(pair.allowed.values())
    return Counter(line.strip() for line in blocks.splitlines() if line.strip())


def texts(pair: Pair) -> tuple[str, str]:
    sync, asynchronous = (
        (TRANSPORT / name).read_text(encoding="utf-8") for name in (pair.sync, pair.asynchronous)
    )
    return sync, asynchronous


EACH = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.sync)


@EACH
def test_twins_are_equal_but_for_what_is_listed(pair: Pair) -> None:
    assert differences(pair, *texts(pair)) == allowed(pair)


@EACH
def test_what_is_listed_as_shared_is_in_the_sync_module_alone(pair: Pair) -> None:
    sync, asynchronous = ({_name(part) for part in ast.parse(text).body} for text in texts(pair))
    assert pair.shared <= sync
    assert not pair.shared & asynchronous


def _functions(text: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    found = ast.walk(ast.parse(text))
    functions = [node for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node for node in functions if node.body[-1].lineno > node.lineno]  # no bare signatures


@EACH
def test_a_planted_difference_is_found_in_every_function(pair: Pair) -> None:
    sync, asynchronous = texts(pair)
    lines = asynchronous.splitlines()
    for function in _functions(asynchronous):
        last = function.body[-1]
        planted = " " * last.col_offset + "planted()"
        at = last.lineno - 1
        changed = "\n".join([*lines[:at], planted, *lines[at:]])
        found = differences(pair, sync, changed) - allowed(pair)
        assert found == Counter(["+ planted()"]), function.name


@EACH
def test_a_line_that_one_of_them_lacks_is_found(pair: Pair) -> None:
    sync, asynchronous = texts(pair)
    functions = [node for node in _functions(sync) if node.name not in _inside(sync, pair.shared)]
    assert functions
    for function in functions:
        last = function.body[-1]
        lines = sync.splitlines()
        lines[last.lineno - 1 : last.end_lineno] = [
            " " * last.col_offset + "raise NotImplementedError"
        ]
        found = differences(pair, "\n".join(lines), asynchronous) - allowed(pair)
        assert found, function.name


def _inside(text: str, names: Iterable[str]) -> set[str]:
    """The functions within some of a module's definitions."""
    parts = [part for part in ast.parse(text).body if _name(part) in names]
    return {node.name for part in parts for node in _functions(ast.unparse(part))}
