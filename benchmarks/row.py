"""A row of the benchmarks, where all of them are listed, and how one is measured."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from benchmarks import stub
from benchmarks.isolation import pin_client
from benchmarks.measuring import Measured

__all__ = ["Row", "all_rows", "measured_apart"]

# Modules with a function `rows`.
_MODULES = ("transport", "adapter_rows")


class Row(NamedTuple):
    """Something to measure.

    Attributes:
        name: as the report and the record show it.
        unit: what its microseconds are of.
        measured: measures it against a server, so many rounds.
        smoke: whether it is cheap and steady enough for the short run.
    """

    name: str
    unit: str
    measured: Callable[[stub.Running, int], Measured]
    smoke: bool = False


def all_rows() -> Iterator[Row]:
    """Every row, in the report's order."""
    for name in _MODULES:
        yield from importlib.import_module(f"benchmarks.{name}").rows()


def measured_apart(name: str, server: stub.Running, rounds: int) -> Measured | str:
    """Measure a row in a process of its own.

    So its numbers do not depend on what ran before.

    Returns:
        In words why it could not be measured, where it could not.
    """
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh, pin_client) as worker:
        return worker.submit(_measured_here, name, server, rounds).result()


def _measured_here(name: str, server: stub.Running, rounds: int) -> Measured | str:
    found = {row.name: row for row in all_rows()}
    try:
        return found[name].measured(server, rounds)
    except Exception as failed:  # noqa: BLE001 - a row that fails has lost, the others go on
        error: BaseException = failed
        while isinstance(error, BaseExceptionGroup):  # of calls at once; one of them says it
            error = error.exceptions[0]
        return f"{type(error).__name__}: {error}"
