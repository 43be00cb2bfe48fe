"""A store for one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from .._forks import begin_anew_in_child
from .steps import LASTING, Pages, Ran, Step, run

__all__ = ["MemoryStore"]


class MemoryStore:
    """Numbers that live as long as the process.

    Args:
        pages: what is known already, by account.
    """

    blocking = False

    def __init__(self, pages: dict[str, Pages] | None = None) -> None:
        self._accounts: dict[str, Pages] = pages or {}
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """In a forked child: another thread of the parent may hold the lock."""
        self._lock = threading.Lock()

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program atomically."""
        with self._lock:
            pages = self._accounts.setdefault(account, {})
            failed, _ = run(pages, now, tests, changes)
            # A copy: the lasting page is read without the lock, while other threads change it.
            return Ran(failed, {**pages, LASTING: dict(pages.get(LASTING, {}))})

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, as far as they exist."""
        with self._lock:
            found = self._accounts.get(account, {})
            return {page: dict(found[page]) for page in pages if page in found}

    def accounts(self) -> list[str]:
        """The accounts of which anything is kept."""
        with self._lock:
            return list(self._accounts)

    def pages(self, account: str) -> Pages:
        """All pages of an account."""
        with self._lock:
            found = self._accounts.get(account, {})
            return {page: dict(cells) for page, cells in found.items()}

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""
        with self._lock:
            if account is None:
                self._accounts.clear()
            else:
                self._accounts.pop(account, None)

    def close(self) -> None:
        """There is nothing to close."""
