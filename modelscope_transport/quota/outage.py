"""What takes the place of a store that cannot be used, so that nothing is ever spent uncounted."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from ..language import translated as _
from .cells import CELL_KINDS
from .memory import MemoryStore
from .mending import damage_in
from .steps import LASTING, Pages, Ran, Step, Store, StoreError

__all__ = ["Downgraded", "StandIn"]

# While a common store is down it is tried again once a second.
_RETRY = 1.0


class Downgraded(Exception):
    """The store has just gone down and only a share of each limit holds: build the program anew."""


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
        """Whether only a share of every limit may be used."""
        return self._memory is not None and self._share is not None

    # --- sync -----------------------------------------------------------------------------

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program where it can be run.

        Raises:
            Downgraded: the store has just gone down and a share of each limit holds; nothing was
                changed.
        """
        if self._is_due():
            self._try_again(now)
        if self._memory is None:
            try:
                return self._note(account, self._store.run(account, now, tests, changes))
            except StoreError as error:
                self.give_up(error)
                if self._share is not None and tests:
                    raise Downgraded from None
        return self._in_memory(account, now, tests, changes)

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, from where they can be read."""
        if self._memory is None:
            try:
                return self._keep(account, self._store.read(account, pages))
            except StoreError as error:
                self.give_up(error)
        assert self._memory is not None
        return self._memory.read(account, pages)

    def at_once(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran | None:
        """Run a program, if the store can do so without waiting."""
        at_once = getattr(self._store, "at_once", None)
        if self._memory is not None or at_once is None:
            return None
        ran = at_once(account, now, tests, changes)
        return ran and self._note(account, ran)

    # --- async: the same, with await ------------------------------------------------------

    async def arun(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran:
        """`run`, for an event loop."""
        store: Any = self._store
        if self._is_due():
            await self._atry_again(now)
        if self._memory is None:
            try:
                return self._note(account, await store.arun(account, now, tests, changes))
            except StoreError as error:
                self.give_up(error)
                if self._share is not None and tests:
                    raise Downgraded from None
        return self._in_memory(account, now, tests, changes)

    async def aread(self, account: str, pages: Sequence[str]) -> Pages:
        """`read`, for an event loop."""
        store: Any = self._store
        if self._memory is None:
            try:
                return self._keep(account, await store.aread(account, pages))
            except StoreError as error:
                self.give_up(error)
        assert self._memory is not None
        return self._memory.read(account, pages)

    # --- the rest of a store --------------------------------------------------------------

    def accounts(self) -> list[str]:
        """The accounts of which anything is kept."""
        return (self._memory or self._store).accounts()

    def pages(self, account: str) -> Pages:
        """All pages of an account."""
        return (self._memory or self._store).pages(account)

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

    def give_up(self, error: StoreError) -> None:
        """Go on in memory, and say so once."""
        if self._memory is not None:
            return
        self._memory = MemoryStore(
            {
                account: {page: _sound(cells, page) for page, cells in pages.items()}
                for account, pages in self._known.items()
            }
        )
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

    # --- underneath -----------------------------------------------------------------------

    def _keep(self, account: str, pages: Pages) -> Pages:
        self._known.setdefault(account, {}).update(pages)
        return pages

    def _note(self, account: str, ran: Ran) -> Ran:
        self._keep(account, ran.pages)
        return ran

    def _in_memory(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran:
        assert self._memory is not None
        if self._share is not None:
            tests = [self._cut(account, step, self._share) for step in tests]
        return self._memory.run(account, now, tests, changes)

    def _cut(self, account: str, step: Step, share: float) -> Step:
        """A test; of the limit of a day, with the share of what is left of it."""
        word, page, cell, _, bound = step
        if word != "at_most" or page == LASTING:
            return step
        used: int = self._known.get(account, {}).get(page, {}).get(cell, 0)
        return step._replace(b=used + math.floor(max(0.0, bound - used) * share))

    def _is_due(self) -> bool:
        """Whether the store should be tried again."""
        return self.shares and time.monotonic() - self._tried >= _RETRY

    def _try_again(self, now: float) -> None:
        """Go back to the store when it answers, with what was spent meanwhile."""
        self._tried = time.monotonic()
        try:
            for account, changes in self._spent_meanwhile():
                self._store.run(account, now, (), changes)
        except StoreError:
            return
        self._memory = None

    async def _atry_again(self, now: float) -> None:
        store: Any = self._store
        self._tried = time.monotonic()
        try:
            for account, changes in self._spent_meanwhile():
                await store.arun(account, now, (), changes)
        except StoreError:
            return
        self._memory = None

    def _spent_meanwhile(self) -> Iterator[tuple[str, list[Step]]]:
        assert self._memory is not None
        for account in self._memory.accounts():
            yield account, list(self._changed(account, self._memory.pages(account)))

    def _changed(self, account: str, pages: Pages) -> Iterator[Step]:
        before = self._known.get(account, {})
        for page, cells in pages.items():
            for cell, value in cells.items():
                old = before.get(page, {}).get(cell)
                if value == old:
                    continue
                kind = CELL_KINDS.get(cell.partition(" ")[0])
                if kind is not None and kind.adds_up:
                    yield Step("add", page, cell, value - (old or 0))
                else:
                    yield Step("put", page, cell, value)


def _sound(cells: dict[str, Any], page: str) -> dict[str, Any]:
    """A page of its own, without damaged cells."""
    damaged = damage_in(cells, page)
    kept = {name: value for name, value in cells.items() if name not in damaged}
    return copy.deepcopy(kept)
