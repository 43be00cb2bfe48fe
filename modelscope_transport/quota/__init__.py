"""The allowance: what is known of it, and the refusal to ask again while it is spent."""

from .aimd import AIMD
from .allowance import UTC8, Allowance, day_of, next_reset
from .budget import Budget
from .earnings import Earnings, EarnRule
from .history import DayUse
from .ledger import Ledger
from .lots import Lot
from .opening import MemoryLedger, RedisLedger, SQLiteLedger, describe_ledger, open_ledger
from .plan import Plan, binding, plan
from .reservation import NO_PROVIDERS, Closing, QuotaBlock, Reservation, has_provider
from .shares import ConcurrencyShare, Share
from .snapshot import Balance, Quota
from .statement import ClassUse, Difference, LotLeft, Statement

__all__ = [
    "AIMD",
    "NO_PROVIDERS",
    "UTC8",
    "Allowance",
    "Balance",
    "Budget",
    "ClassUse",
    "Closing",
    "ConcurrencyShare",
    "DayUse",
    "Difference",
    "EarnRule",
    "Earnings",
    "Ledger",
    "Lot",
    "LotLeft",
    "MemoryLedger",
    "Plan",
    "Quota",
    "QuotaBlock",
    "RedisLedger",
    "Reservation",
    "SQLiteLedger",
    "Share",
    "Statement",
    "binding",
    "day_of",
    "describe_ledger",
    "has_provider",
    "next_reset",
    "open_ledger",
    "plan",
]
