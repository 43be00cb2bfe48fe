"""What a user allows a client to spend."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import force_setattr

from ..errors import ConfigurationError
from ..language import translated as _

__all__ = ["Budget"]

# More is not counted exactly in tenths, in every store.
_MOST = 10**15


class Budget(Struct, frozen=True, kw_only=True):
    """Limits of the user's own, beyond which a call is refused without a request.

    Without a budget the ledger only advises: it refuses where the service has said no. The counts
    held against a budget are those of the ledger, so all processes that share it share them.

    Attributes:
        calls: most calls a day of the account, all models together.
        magicubes: most Magicubes a day of the account.
        models: most calls a day of a model, by its ID. For a model that costs money
            (``owner/name:Provider``) this is the cap on the spending.
        keep: what to leave to others, in the unit of the account's allowance: with ``keep=50`` a
            call is refused that would leave less than 50. ``0`` refuses what goes beyond the
            allowance as it is known; with ``None``, the default, nothing is kept.

    Raises:
        ConfigurationError: a limit is not a number from 0 to 10**15, or ``models`` is not a
            mapping.
    """

    calls: int | None = None
    magicubes: float | None = None
    models: Mapping[str, int] = field(default_factory=dict)
    keep: float | None = None

    def __post_init__(self) -> None:
        """Check each limit: one that cannot be compared with a count would not hold."""
        if not isinstance(self.models, Mapping):
            raise ConfigurationError(
                _(
                    "models of a Budget must be a mapping of numbers of calls by model ID, and is "
                    "{value!r}."
                ).format(value=self.models)
            )
        for name in ("calls", "magicubes", "keep"):
            value = getattr(self, name)
            if value is not None:
                _check(name, value)
        for model, calls in self.models.items():
            _check(f"models[{model!r}]", calls)
        # What was checked and planned with must hold: the caller's mapping may change.
        force_setattr(self, "models", dict(self.models))


def _check(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        raise ConfigurationError(
            _("{name} of a Budget must be a number from 0 to 10**15, and is {value!r}.").format(
                name=name, value=value
            )
        )
