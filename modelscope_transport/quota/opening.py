"""A ledger by its name: ``memory``, ``off``, a file, an address of a Redis, or the usual one."""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..language import translated as _
from ..secret import mask_address
from .ledger import Ledger
from .memory import MemoryStore
from .outage import StandIn
from .redis import RedisStore
from .redis_address import SCHEMES, shown

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

__all__ = ["MemoryLedger", "RedisLedger", "SQLiteLedger", "describe_ledger", "open_ledger"]


class MemoryLedger(Ledger):
    """A ledger for one process, which forgets with it.

    Args:
        clock: seconds since the epoch; by default the service's time, learnt from its replies.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """Start with nothing spent."""
        super().__init__(MemoryStore(), clock)


def _sqlite(path: str | Path | None) -> SQLiteStore:
    # Imported here: it takes long, and not every ledger needs it.
    from .sqlite import SQLiteStore
    from .sqlite_file import default_path

    return SQLiteStore(default_path() if path is None else path)


class SQLiteLedger(Ledger):
    """A ledger that all processes of one host share, in one file.

    Args:
        path: the file; the usual one by default, in the folder of the platform for an
            application's state.
        clock: seconds since the epoch; by default the service's time, learnt from its replies.

    Attributes:
        path: the file.
    """

    def __init__(
        self, path: str | Path | None = None, clock: Callable[[], float] | None = None
    ) -> None:
        """Open nothing yet."""
        store = _sqlite(path)
        self.path = store.path
        super().__init__(store, clock)

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    def __reduce__(self) -> tuple[type[SQLiteLedger], tuple[str]]:
        """The same file, opened anew."""
        return type(self), (str(self.path),)


class RedisLedger(Ledger):
    """A ledger that several hosts share, in a Redis.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as the redis package takes it, a cluster
            among them; ``valkey://``, ``valkeys://``; or ``redis+sentinel://``, see
            `RedisAddress`.
        when_down: what holds while it does not answer: ``"refuse"`` every call, or the part, above
            0 and below 1, of what is left of every limit that this process may use until then.
            The address may say it too: ``redis://host/0?when_down=0.25``.
        patience: seconds that one question may take; 2 by default. The address may say it too:
            ``redis://host/0?patience=5``.
        clock: seconds since the epoch; by default the service's time, learnt from its replies.

    Raises:
        ConfigurationError: the address cannot be read, or ``when_down`` or ``patience`` is not one
            of these.
    """

    def __init__(
        self,
        url: str,
        when_down: str | float | None = None,
        clock: Callable[[], float] | None = None,
        patience: float | None = None,
    ) -> None:
        """Connect to nothing yet."""
        store = RedisStore(url, patience)
        share = _share(url, when_down)
        # A password is a secret: another process finds it in its environment.
        self._name = mask_address(url)
        super().__init__(store if share is None else StandIn(store, share), clock)

    @property
    def name(self) -> str:
        """The address, ``***`` in place of its credentials."""
        return self._name


def _share(url: str, when_down: str | float | None) -> float | None:
    if when_down is None:
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        when_down = asked.get("when_down", ["refuse"])[-1]
    if when_down == "refuse":
        return None
    try:
        share = float(when_down)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ConfigurationError(
            _(
                "when_down of the ledger at {url} must be 'refuse' or a number between 0 "
                "and 1: the part of what is left that this process may use while the "
                "Redis is down."
            ).format(url=shown(url))
        )
    return share


@functools.cache
def open_ledger(name: str) -> Ledger | None:
    """The ledger of a name; equal names give the same object.

    Args:
        name: ``"memory"``: for this process; ``"off"``: none; an address beginning ``redis://``,
            ``rediss://``, ``unix://``, ``valkey://``, ``valkeys://`` or ``redis+sentinel://``: a
            Redis; ``"auto"`` or empty: the usual file, and the memory with a warning where that
            cannot be used; anything else: a file.

    Raises:
        ConfigurationError: an address of another kind; of a Redis, see `RedisLedger`.
    """
    if name == "memory":
        return MemoryLedger()
    if name == "off":
        return None
    if name.startswith(SCHEMES):
        return RedisLedger(name)
    if name in ("", "auto"):
        # The user has not chosen this file, so its loss stops no call: it is warned of once.
        return Ledger(StandIn(_sqlite(None)))
    kind, is_address, _rest = name.partition("://")
    if is_address:  # as the name of a file it would work, and silently not be shared
        raise ConfigurationError(
            _(
                "There is no ledger at an address beginning {kind}://. Pass the path of a "
                'file, an address beginning redis://, rediss:// or unix://, "memory" or '
                '"off".'
            ).format(kind=kind)
        )
    return SQLiteLedger(name)


def describe_ledger(name: str) -> str:
    """Where the ledger of a name is, fit for a message."""
    if name in ("memory", "off"):
        return name
    if name.startswith(SCHEMES):
        return shown(name)
    return str(SQLiteLedger(None if name in ("", "auto") else name).path)
