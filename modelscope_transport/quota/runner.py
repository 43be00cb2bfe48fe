"""Runs the ledger's work on a store, in a thread or in an event loop.

The work is written once, as generators that yield what they want of the store: ``("run", …)`` or
``("read", …)``. An event loop does at once what the store can do without waiting. For the rest it
awaits a store that has an asyncio client, and gives any other one to a few threads, which are the
ledger's own: those of the loop may be filled with calls that wait for each other.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

from .._cancellation import finish_anyway
from .._forks import begin_anew_in_child
from ..errors import ConfigurationError, ErrorDetails
from ..language import marked as _N
from ..language import translated as _
from .mending import damage_in
from .outage import StandIn, Switched
from .steps import LASTING, Pages, Ran, Step, Store, StoreError

__all__ = ["Begun", "Runner", "Work"]

T = TypeVar("T")
Operation = tuple[str, tuple[Any, ...]]  # a method of the store, and its arguments
Work = Generator[Operation, Any, T]


class Begun(NamedTuple, Generic[T]):
    """A piece of work that waits for the store, and for which operation."""

    work: Work[T]
    operation: Operation


# What a cell whose value is not of the expected kind leads to.
_ODD = (TypeError, ValueError, LookupError, AttributeError)


class Runner:
    """One ledger's store, what was last seen in it, and what is still to be written.

    Args:
        store: where the numbers are kept.

    Attributes:
        seen: the lasting page of each account as last seen.
        deferred: changes that can wait; they ride with the account's next program.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.seen: dict[str, dict[str, Any]] = {}
        self.deferred: dict[str, deque[Step]] = {}
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """In a forked child: what is still to be written is the parent's to write."""
        self.deferred = {}

    # --- operations -----------------------------------------------------------------------

    def run(
        self,
        account: str,
        now: float,
        tests: Sequence[Step],
        changes: Sequence[Step],
        *,
        has_limits: bool = False,
    ) -> Work[Ran]:
        """Run a program, and what was deferred with it.

        Args:
            account: whose numbers.
            now: seconds since the epoch.
            tests: what must hold.
            changes: what is done then.
            has_limits: whether the tests hold limits, which are others while the store is down.

        Raises:
            Switched: another store is in use now, and the program ``has_limits``.
        """
        while True:
            waiting, flushed = self.deferred.get(account), list[Step]()
            with suppress(IndexError):  # another thread empties it too
                while waiting:
                    flushed.append(waiting.popleft())
            try:
                ran: Ran = yield "run", (account, now, tests, [*flushed, *changes])
                break
            except Switched:
                self.defer(account, flushed)
                if has_limits:
                    raise
        if ran.failed is not None:
            self.defer(account, flushed)
        self.seen[account] = ran.pages.setdefault(LASTING, {})
        return ran

    def read(self, account: str, pages: Sequence[str], now: float = 0.0) -> Work[Pages]:
        """The named pages as they are now, with what was deferred in them."""
        if self.deferred.get(account):
            yield from self.run(account, now, (), ())
        found: Pages = yield "read", (account, pages)
        if LASTING in pages:
            self.seen[account] = found.get(LASTING, {})
        return found

    def look(self, account: str) -> Work[dict[str, Any]]:
        """The lasting page as it is now."""
        yield from self.read(account, (LASTING,))
        return self.seen[account]

    def defer(self, account: str, steps: Sequence[Step]) -> None:
        """Write these changes with the next program."""
        if steps:
            self.deferred.setdefault(account, deque()).extend(steps)

    # --- playing --------------------------------------------------------------------------

    def play(self, account: str, work: Callable[[], Work[T]], begun: Begun[T] | None = None) -> T:
        """Do a piece of work, or the rest of one that was begun, in this thread.

        Raises:
            ConfigurationError: the store cannot be used, or holds damaged cells.
        """
        try:
            return self._play(work()) if begun is None else self._play(*begun)
        except _ODD as error:
            self._judge_damage(account, error)
            return self._play(work())

    def _play(self, work: Work[T], operation: Operation | None = None) -> T:
        store = self.store
        try:
            word, arguments = operation or next(work)
            while True:
                try:
                    found = store.run(*arguments) if word == "run" else store.read(*arguments)
                except Switched as error:
                    word, arguments = work.throw(error)
                except StoreError as error:
                    raise unusable(error) from None
                else:
                    word, arguments = work.send(found)
        except StopIteration as stop:
            done: T = stop.value
            return done

    def begin(self, account: str, work: Callable[[], Work[T]]) -> T | Begun[T]:
        """Do a piece of work as far as nothing has to be waited for, in an event loop.

        Returns:
            What came of it; or what it waits for, for `afinish`.
        """
        store: Any = self.store
        if not store.blocking:
            return self.play(account, work)
        playing = work()
        try:
            word, arguments = next(playing)
            while True:
                at_once = getattr(store, f"{word}_at_once", None)
                found = None if at_once is None else at_once(*arguments)
                if found is None:
                    break
                word, arguments = playing.send(found)
        except StopIteration as stop:
            done: T = stop.value
            return done
        except _ODD as error:
            self._judge_damage(account, error)
            return self.begin(account, work)
        return Begun(playing, (word, arguments))

    async def aplay(self, account: str, work: Callable[[], Work[T]]) -> T:
        """`play`, for an event loop. It is done also when the caller is cancelled."""
        begun = self.begin(account, work)
        if not isinstance(begun, Begun):
            return begun
        return await finish_anyway(self.afinish(account, work, begun))

    async def afinish(self, account: str, work: Callable[[], Work[T]], begun: Begun[T]) -> T:
        """The rest of a piece of work that waits for the store."""
        loop, threads = asyncio.get_running_loop(), _threads(os.getpid())
        if not getattr(self.store, "awaitable", False):
            return await loop.run_in_executor(threads, self.play, account, work, begun)
        try:
            return await self._aplay(*begun)
        except _ODD as error:
            await loop.run_in_executor(threads, self._judge_damage, account, error)
            return await self._aplay(work())

    async def _aplay(self, work: Work[T], operation: Operation | None = None) -> T:
        store: Any = self.store
        try:
            word, arguments = operation or next(work)
            while True:
                try:
                    asked = store.arun(*arguments) if word == "run" else store.aread(*arguments)
                    found = await asked
                except Switched as error:
                    word, arguments = work.throw(error)
                except StoreError as error:
                    raise unusable(error) from None
                else:
                    word, arguments = work.send(found)
        except StopIteration as stop:
            done: T = stop.value
            return done

    def _judge_damage(self, account: str, error: Exception) -> None:
        """Raise the error, as the ledger's own where a cell is damaged.

        A ledger of the usual place goes on in memory.
        """
        found = damage_in(self.seen.get(account, {}))
        with suppress(StoreError):
            for cells in self.store.pages(account).values():
                found += damage_in(cells)
        if not found:
            raise error
        cause = StoreError(_("it holds a damaged cell: {found}").format(found=found[0]))
        if not isinstance(self.store, StandIn):
            raise unusable(cause, remedy=_MEND) from None
        self.store.give_up(cause)
        self.seen.clear()


# It does not say to remove the file, which may be another program's.
_NAME_ANOTHER = _N(
    "The ledger: {error}. Name another one in MODELSCOPE_LEDGER, or set that to 'memory' to count "
    "in each process alone."
)
_MEND = _N(
    "The ledger: {error}. Mend it (`modelscope-adapters ledger mend`) or remove it, name another "
    "one in MODELSCOPE_LEDGER, or set that to 'memory' to count in each process alone."
)


def unusable(error: StoreError, remedy: str = _NAME_ANOTHER) -> ConfigurationError:
    """The error of a ledger that cannot be used."""
    return ConfigurationError(
        _(remedy).format(error=error), details=ErrorDetails(reason="ledger_unusable")
    )


@functools.cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The threads of a process; a forked child has none of its parent's."""
    return ThreadPoolExecutor(4, thread_name_prefix="modelscope-ledger")
