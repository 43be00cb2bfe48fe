"""Replaces a store that cannot be used, so that nothing is ever spent uncounted."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from .._cancellation import finish_anyway
from .._forks import begin_anew_in_child
from ..language import translated as _
from .cells import CELL_KINDS
from .lots import filled
from .memory import MemoryStore
from .mending import damage_in
from .steps import LASTING, Pages, Ran, Step, Store, StoreError

__all__ = ["StandIn", "Switched"]

# While a common store is down it is tried again once a second.
_RETRY = 1.0


class Switched(Exception):
    """The store has gone down or come back, so other limits hold: the program is built anew."""


class StandIn:
    """A store, and a memory of this process for when the store cannot be used.

    The memory begins with what was last seen of the store, so that a limit which was nearly
    reached stays nearly reached.

    Args:
        store: the store proper.
        share: ``None``: the memory takes over for good. Else the part, above 0 and below 1, of
            what is left of every limit that this process may use while the store is down; the
            store is tried again every second, and what was spent meanwhile is added there.
    """

    def __init__(self, store: Store, share: float | None = None) -> None:
        self._store = store
        self._share = share
        self._known: dict[str, Pages] = {}
        self._memory: MemoryStore | None = None
        self._tried = 0.0
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """In a forked child: another thread of the parent may hold the lock."""
        # Held while the memory in use is read or changed, and while another store comes into use.
        self._lock = threading.Lock()
        self._is_trying = False

    @property
    def blocking(self) -> bool:
        """Whether the methods do I/O."""
        return self._memory is None or self._share is not None

    @property
    def awaitable(self) -> bool:
        """Whether an event loop may await `arun` and `aread`."""
        return bool(getattr(self._store, "awaitable", False))

    @property
    def shares(self) -> bool:
        """Whether only a share of every limit may be used now."""
        return self._memory is not None and self._share is not None

    def kept(self, account: str, keep: float, now: float) -> float:
        """What this process leaves of the lots, so that all together leave ``keep`` Magicubes."""
        cells = self._known.get(account, {}).get(LASTING, {})
        left = sum(lot.rest for lot in filled(cells, now)) / 10
        return keep + (1 - (self._share or 1)) * max(0.0, left - keep)

    # --- sync -----------------------------------------------------------------------------

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program where it can be run.

        Raises:
            Switched: the store has just gone down and a share of each limit holds, or the whole
                of it again; nothing was changed.
        """
        if self._begins_return():
            self._return(now)
            if tests and not self.shares:
                raise Switched
        while True:
            memory = self._memory
            if memory is None:
                try:
                    return self._note(account, self._store.run(account, now, tests, changes))
                except StoreError as error:
                    memory = self.give_up(error)
                    if self._share is not None and tests:
                        raise Switched from None
            ran = self._in_memory(memory, account, now, tests, changes)
            if ran is not None:
                return ran

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, from where they can be read."""
        memory = self._memory
        if memory is None:
            try:
                return self._keep(account, self._store.read(account, pages))
            except StoreError as error:
                memory = self.give_up(error)
        return memory.read(account, pages)

    def run_at_once(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran | None:
        """Run a program, if the store can do so without waiting."""
        run = getattr(self._store, "run_at_once", None)
        ran = run(account, now, tests, changes) if run and self._memory is None else None
        return ran and self._note(account, ran)

    def read_at_once(self, account: str, pages: Sequence[str]) -> Pages | None:
        """The named pages, if the store can read them without waiting."""
        read = getattr(self._store, "read_at_once", None)
        found = read(account, pages) if read and self._memory is None else None
        return None if found is None else self._keep(account, found)

    # --- async: the same, with await ------------------------------------------------------

    async def arun(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran:
        """`run`, for an event loop."""
        store: Any = self._store
        if self._begins_return():
            await finish_anyway(self._areturn(now))
            if tests and not self.shares:
                raise Switched
        while True:
            memory = self._memory
            if memory is None:
                try:
                    return self._note(account, await store.arun(account, now, tests, changes))
                except StoreError as error:
                    memory = self.give_up(error)
                    if self._share is not None and tests:
                        raise Switched from None
            ran = self._in_memory(memory, account, now, tests, changes)
            if ran is not None:
                return ran

    async def aread(self, account: str, pages: Sequence[str]) -> Pages:
        """`read`, for an event loop."""
        store: Any = self._store
        memory = self._memory
        if memory is None:
            try:
                return self._keep(account, await store.aread(account, pages))
            except StoreError as error:
                memory = self.give_up(error)
        return memory.read(account, pages)

    # --- the rest of a store --------------------------------------------------------------

    def accounts(self) -> list[str]:
        """The accounts of which anything is kept."""
        return (self._memory or self._store).accounts()

    def pages(self, account: str) -> Pages:
        """All pages of an account."""
        return (self._memory or self._store).pages(account)

    def drop_unreadable(self) -> list[str]:
        """Drop what of the store cannot be read at all; the names."""
        drop = getattr(self._memory or self._store, "drop_unreadable", None)
        return [] if drop is None else list(drop())

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""
        if self._memory is not None:
            self._memory.clear(account)
        if self.blocking:
            self._store.clear(account)

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        close = getattr(self._store, "aclose", None)
        if close is not None:
            await close()

    def close(self) -> None:
        """Close the store proper."""
        self._store.close()

    def give_up(self, error: StoreError) -> MemoryStore:
        """Go on in memory, and say so once."""
        with self._lock:
            if self._memory is not None:
                return self._memory
            self._known = {
                account: {page: _sound(cells) for page, cells in pages.items()}
                for account, pages in self._known.items()
            }
            memory = self._memory = MemoryStore(copy.deepcopy(self._known))
            self._tried = time.monotonic()
        meanwhile = (
            _("From now on this process counts for itself, and others do not see what it spends.")
            if self._share is None
            else _("Until it can, this process keeps to {share:.0%} of what was left.").format(
                share=self._share
            )
        )
        warnings.warn(
            _("The ledger: {error}. {meanwhile}").format(error=error, meanwhile=meanwhile),
            RuntimeWarning,
            stacklevel=2,
        )
        return memory

    # --- underneath -----------------------------------------------------------------------

    def _keep(self, account: str, pages: Pages) -> Pages:
        with self._lock:
            if self._memory is None:  # which began with what was known then
                self._known[account] = {**self._known.get(account, {}), **pages}
        return pages

    def _note(self, account: str, ran: Ran) -> Ran:
        self._keep(account, ran.pages)
        return ran

    def _in_memory(
        self,
        memory: MemoryStore,
        account: str,
        now: float,
        tests: Sequence[Step],
        changes: Sequence[Step],
    ) -> Ran | None:
        """Run a program in memory; ``None``: the store has come back meanwhile."""
        with self._lock:
            if self._memory is not memory:
                return None
            if self._share is not None:
                tests = [self._cut(account, step, self._share) for step in tests]
            return memory.run(account, now, tests, changes)

    def _cut(self, account: str, step: Step, share: float) -> Step:
        """The test itself; for a limit of a day, with the share of what was left of it."""
        word, page, cell, _, bound = step
        if word != "at_most" or page == LASTING:
            return step
        used: int = self._known.get(account, {}).get(page, {}).get(cell, 0)
        return step._replace(b=used + math.floor(max(0.0, bound - used) * share))

    # --- back to the store ----------------------------------------------------------------

    def _return(self, now: float) -> None:
        """Go back to the store when it answers, with what was spent meanwhile."""
        with contextlib.suppress(StoreError), self._trying():
            while owed := self._owed():
                for account, pages, changes in owed:
                    self._store.run(account, now, (), changes)
                    self._known[account] = pages

    async def _areturn(self, now: float) -> None:
        """`_return`, for an event loop."""
        store: Any = self._store
        with contextlib.suppress(StoreError), self._trying():
            while owed := self._owed():
                for account, pages, changes in owed:
                    await store.arun(account, now, (), changes)
                    self._known[account] = pages

    def _begins_return(self) -> bool:
        """Whether this caller is the one to try the store now."""
        if self._memory is None or self._share is None:
            return False
        with self._lock:
            if self._is_trying or time.monotonic() - self._tried < _RETRY:
                return False
            self._tried, self._is_trying = time.monotonic(), True
            return True

    @contextlib.contextmanager
    def _trying(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._is_trying = False

    def _owed(self) -> list[tuple[str, Pages, list[Step]]]:
        """What the store lacks, by account; where that is nothing, it is used again."""
        with self._lock:
            memory = self._memory
            if memory is None:
                return []
            owed = []
            for account in memory.accounts():
                pages = memory.pages(account)
                if changes := list(self._changed(account, pages)):
                    owed.append((account, pages, changes))
            if not owed:
                self._memory = None
            return owed

    def _changed(self, account: str, pages: Pages) -> Iterator[Step]:
        before = self._known.get(account, {})
        for page, cells in pages.items():
            known = before.get(page, {})
            for cell in known | cells:
                old, value = known.get(cell), cells.get(cell)
                if value == old:
                    continue
                kind = CELL_KINDS.get(cell.partition(" ")[0])
                if kind is not None and kind.adds_up:
                    yield Step("settle", page, cell, (value or 0) - (old or 0))
                elif value is None:
                    yield Step("drop", page, cell)
                else:
                    yield Step("put", page, cell, value)


def _sound(cells: dict[str, Any]) -> dict[str, Any]:
    """A page of its own, without damaged cells."""
    damaged = damage_in(cells)
    return {name: value for name, value in cells.items() if name not in damaged}
