"""A bar that shows how far a long call has come, in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Report", "progress_bar"]

Report = Callable[[int, int], None]
"""Called with how much is done, and how much there is in all."""


@contextmanager
def progress_bar(title: str, report: Report | None, *, shown: bool) -> Iterator[Report | None]:
    """What to call after each step, while the block lasts.

    Args:
        title: what stands before the bar.
        report: the caller's own, called as well.
        shown: whether there is a bar; without one, the caller's own is all there is.
    """
    if not shown:
        yield report
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if report is not None:
                report(done, total)

        yield step
