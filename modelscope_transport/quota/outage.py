"""What stands in for a store that cannot be used, so that nothing is ever spent without a count."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Iterator, Sequence

from .memory import MemoryStore
from .steps import Pages, Ran, Step, Store, StoreError

__all__ = ["Downgraded", "StandIn"]

# While a common store is down it is asked again once a second.
_PATIENCE = 1.0


class Downgraded(Exception):
    """The store has just gone down and a memory stands in: build the program anew."""


class StandIn:
    """A store, and a memory of this process for when the store cannot be used.

    The memory begins with what was last seen of the store, so that a limit which was nearly
    reached stays nearly reached.

    Args:
        store: the store proper.
        share: ``None``: the memory takes over for good. Else the part, above 0 and below 1, of
            what is left of every limit that this process may use while the store is down; the
            store is asked again every second and told what was spent meanwhile.
    """

    def __init__(self, store: Store, share: float | None = None) -> None:
        self._store = store
        self._share = share
        self._known: dict[str, Pages] = {}
        self._memory: MemoryStore | None = None
        self._asked = 0.0

    @property
    def blocking(self) -> bool:
        """Whether the methods do I/O."""
        return self._memory is None or self._share is not None

    def bound(self, account: str, page: str, cell: str, bound: float) -> float:
        """What a limit comes to: itself, or a share of what is left of it."""
        if self._memory is None or self._share is None:
            return bound
        used: int = self._known.get(account, {}).get(page, {}).get(cell, 0)
        return used + math.floor(max(0.0, bound - used) * self._share)

    def shares(self, now: float) -> bool:
        """Whether only a share of every limit may be used; looks after the store first."""
        self._try_again(now)
        return self._memory is not None and self._share is not None

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program where it can be run.

        Raises:
            Downgraded: the store has just gone down; nothing was changed.
        """
        if self._memory is not None:
            return self._memory.run(account, now, tests, changes)
        try:
            ran = self._store.run(account, now, tests, changes)
        except StoreError as error:
            self._go_down(error)
            raise Downgraded from None
        self._known.setdefault(account, {}).update(ran.pages)
        return ran

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, from where they can be read."""
        if self._memory is None:
            try:
                found = self._store.read(account, pages)
            except StoreError as error:
                self._go_down(error)
            else:
                self._known.setdefault(account, {}).update(found)
                return found
        assert self._memory is not None
        return self._memory.read(account, pages)

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""
        if self._memory is not None:
            self._memory.clear(account)
        if self.blocking:
            self._store.clear(account)

    def close(self) -> None:
        """Close the store proper."""
        self._store.close()

    def _go_down(self, error: StoreError) -> None:
        self._memory = MemoryStore(copy.deepcopy(self._known))
        self._asked = time.monotonic()
        meanwhile = (
            "From now on this process counts for itself, and others do not see what it spends."
            if self._share is None
            else f"Until it can, this process keeps to {self._share:.0%} of what was left."
        )
        warnings.warn(f"The ledger: {error}. {meanwhile}", RuntimeWarning, stacklevel=2)

    def _try_again(self, now: float) -> None:
        """Go back to the store when it answers, and tell it what was spent meanwhile."""
        memory = self._memory
        if memory is None or self._share is None or time.monotonic() - self._asked < _PATIENCE:
            return
        self._asked = time.monotonic()
        try:
            for account, pages in memory.accounts():
                self._store.run(account, now, (), list(self._spent_meanwhile(account, pages)))
        except StoreError:
            return
        self._memory = None

    def _spent_meanwhile(self, account: str, pages: Pages) -> Iterator[Step]:
        before = self._known.get(account, {})
        for page, cells in pages.items():
            for cell, value in cells.items():
                old = before.get(page, {}).get(cell)
                if value == old:
                    continue
                if cell.startswith(("calls ", "unsure ", "halves", "lot ")):
                    yield Step("add", page, cell, value - (old or 0))
                else:
                    yield Step("put", page, cell, value)
