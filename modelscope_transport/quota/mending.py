"""Damaged cells: how they are found, and what is left of an account without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .cells import BLOCK, BLOCKED_UNTIL, CELL_KINDS, EARNINGS, LOTS, SHARE, CellKind
from .reservation import QuotaBlock
from .steps import Step, Store

__all__ = ["damage_in", "mend"]

_TABLES: dict[str, Any] = {
    BLOCK.word: QuotaBlock,
    LOTS.word: list[tuple[str, int, float | None]],
    EARNINGS.word: tuple[float, list[tuple[str, float, float]]],
    SHARE.word: dict[str, Any],
}


def damage_in(cells: Mapping[str, Any]) -> list[str]:
    """The names of a page's cells whose values are of a wrong kind.

    The end of a block counts as damaged where the block itself is missing or damaged.
    """
    found = [name for name, value in cells.items() if not _is_sound(name, value)]
    for (pool,), _until in BLOCKED_UNTIL.all_in(cells):
        until, block = BLOCKED_UNTIL.name(pool), BLOCK.name(pool)
        if until not in found and (block in found or block not in cells):
            found.append(until)
    return found


def _is_sound(name: str, value: Any) -> bool:
    kind = CELL_KINDS.get(name.partition(" ")[0])
    if kind is None or kind.read(name) is None:
        return True  # of a later version: left alone
    if kind.word in _TABLES:
        try:
            msgspec.convert(value, _TABLES[kind.word])
        except msgspec.ValidationError:
            return False
        return True
    return _is_number(kind, value) if kind.unit != "text" else isinstance(value, str)


def _is_number(kind: CellKind, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float if kind.unit in ("seconds", "calls") else int)


def mend(store: Store) -> list[str]:
    """Drop the damaged cells of all accounts, and the pages that cannot be read at all.

    Returns:
        Their names.

    Raises:
        StoreError: the store cannot be used.
    """
    drop = getattr(store, "drop_unreadable", None)
    dropped = [] if drop is None else list(drop())
    for account in store.accounts():
        for page, cells in store.pages(account).items():
            damaged = damage_in(cells)
            if damaged:
                store.run(account, 0.0, (), [Step("drop", page, name) for name in damaged])
            dropped += damaged
    return dropped
