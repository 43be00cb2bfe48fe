"""How far a job is: a bar at a terminal, a line a minute in a pipe."""

from __future__ import annotations

import datetime as dt
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Self, TextIO

from ..client.sync import Client
from ..errors import ModelScopeError
from ..jobs.batch import Batch
from ..language import translated as _
from .output import amount, moment

__all__ = ["JobProgress"]

# Seconds between two lines in a pipe, and between two updates of a bar.
_LINE_EVERY, _BAR_EVERY = 60.0, 0.5
# Seconds between two questions to the ledger, which is a file.
_LEDGER_EVERY = 5.0


class JobProgress:
    """Shows a job while its ``with`` block runs.

    Args:
        batch: the job.
        client: whose allowance is shown.
        model: whose pool is shown; ``None`` where the lines name several.
        total: how many items there are.
        stream: where to; standard error by default.
        each: seconds between two lines in a pipe.
    """

    def __init__(
        self,
        batch: Batch,
        client: Client,
        model: str | None,
        total: int,
        *,
        stream: TextIO | None = None,
        each: float = _LINE_EVERY,
    ) -> None:
        """Show nothing yet."""
        self._batch = batch
        self._client = client
        self._model = model
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._each = each
        self._over = threading.Event()
        self._began = time.monotonic()
        self._left: tuple[float, str] = (-_LEDGER_EVERY, "")
        self._bar: Any = None
        self._thread = threading.Thread(target=self._work, name="batch-progress", daemon=True)

    def __enter__(self) -> Self:
        """Begin to show."""
        self._began = time.monotonic()
        if self._stream.isatty():
            self._bar = _bar(self._stream)
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Show the end."""
        self._over.set()
        self._thread.join()
        if self._bar is not None:
            self._update()
            self._bar.stop()

    def say(self, text: object) -> None:
        """Write a line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(str(text), markup=False, highlight=False)
        else:
            print(text, file=self._stream)

    def _work(self) -> None:
        each = self._each if self._bar is None else _BAR_EVERY
        while not self._over.wait(each):
            if self._bar is None:
                self.say(self.line())
            else:
                self._update()

    def _update(self) -> None:
        done = self._done()
        self._bar.update(self._task, completed=done, description=self._told())

    def _done(self) -> int:
        report = self._batch.report
        return report.answered + report.kept + report.failed

    def line(self) -> str:
        """How far it is, in one line."""
        done, total = self._done(), self._total
        share = 100 * done / total if total else 100.0
        words = _("{done} of {total} ({share:.0f} %)").format(done=done, total=total, share=share)
        return words + _(", ") + self._told()

    def _told(self) -> str:
        report = self._batch.report
        rate = report.answered / max(1e-9, time.monotonic() - self._began)
        parts = [
            _("{failed} failed").format(failed=report.failed),
            _("{rate:.1f}/min").format(rate=60 * rate),
        ]
        parts += [part for part in (self._allowance(), self._when(rate)) if part]
        return _(", ").join(parts)

    def _allowance(self) -> str:
        at, text = self._left
        if self._model is None or time.monotonic() - at < _LEDGER_EVERY:
            return text
        try:
            quota = self._client.quota(self._model)
        except ModelScopeError:
            text = ""  # the ledger is off; the job's own calls say what else is wrong
        else:
            used, left = amount(quota.used, quota.unit), amount(quota.remaining)
            text = _("{used} spent, {left} left").format(used=used, left=left)
        self._left = time.monotonic(), text
        return text

    def _when(self, rate: float) -> str:
        """When it goes on, where it waits; else when it will pause or be done, at this rate."""
        until = self._batch.blocked_until
        if until > time.time():
            when = moment(dt.datetime.fromtimestamp(until, dt.UTC))
            return _("waits until {when}").format(when=when)
        if not rate:
            return ""
        left = self._total - self._done()
        if pause := self._pause(left):
            return pause
        end = dt.datetime.now().astimezone() + dt.timedelta(seconds=left / rate)
        return _("done at {end:%m-%d %H:%M}").format(end=end)

    def _pause(self, left: int) -> str:
        """After how many items the allowance ends, where it ends before the job."""
        if self._model is None or not left:
            return ""
        try:
            plan = self._client.plan(left, self._model)
        except ModelScopeError:
            return ""
        if plan.fits or plan.fits_today is None:
            return ""
        end = "?" if plan.done_on is None else str(plan.done_on)
        return _("pauses after {fits_today} more, done on {end}").format(
            fits_today=plan.fits_today, end=end
        )


def _bar(stream: TextIO) -> Any:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, MofNCompleteColumn, Progress
    from rich.table import Column
    from rich.text import Text

    class TwoLines(Progress):
        """The bar, and under it the words, which would leave it no room on the same line."""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            yield from (Text(task.description) for task in self.tasks)

    columns = BarColumn(), MofNCompleteColumn(table_column=Column(no_wrap=True))
    return TwoLines(*columns, console=Console(file=stream))
