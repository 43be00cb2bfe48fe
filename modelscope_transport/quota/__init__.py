"""The allowance: what is known of it, and the refusal to ask again while it is spent."""

from .allowance import Allowance, next_reset
from .ledger import Ledger, MemoryLedger, Park, Reservation

__all__ = ["Allowance", "Ledger", "MemoryLedger", "Park", "Reservation", "next_reset"]
