"""The allowance: what is known of it, and the refusal to ask again while it is spent."""

from .allowance import UTC8, Allowance, day_of, next_reset
from .budget import Budget
from .ledger import Ledger, MemoryLedger
from .lots import Lot
from .opening import RedisLedger, SQLiteLedger, describe_ledger, open_ledger
from .reservation import Park, Reservation
from .snapshot import DayUse, Quota

__all__ = [
    "UTC8",
    "Allowance",
    "Budget",
    "DayUse",
    "Ledger",
    "Lot",
    "MemoryLedger",
    "Park",
    "Quota",
    "RedisLedger",
    "Reservation",
    "SQLiteLedger",
    "day_of",
    "describe_ledger",
    "next_reset",
    "open_ledger",
]
