"""What a user allows a client to spend."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

__all__ = ["Budget"]


class Budget(Struct, frozen=True, kw_only=True):
    """Limits of the user's own, beyond which a call is refused without a request.

    Without a budget the ledger only advises: it refuses where the service has said no. The counts
    held against a budget are those of the ledger, so all who share it share them.

    Attributes:
        calls: most calls a day of the account, all models together.
        magicubes: most Magicubes a day of the account.
        models: most calls a day of a model, by its ID. For a model that costs money
            (``owner/name:Provider``) this is the cap on the spending.
        keep: what to leave to others, in the unit of the account's allowance: with ``keep=50`` a
            call is refused that would leave less than 50. ``0`` refuses what goes beyond the
            allowance as it is known; ``None`` does not look at it.
    """

    calls: int | None = None
    magicubes: float | None = None
    models: Mapping[str, int] = field(default_factory=dict)
    keep: float | None = None
