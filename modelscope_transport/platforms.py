"""Another platform to turn to when the allowance is spent, at the user's own cost and choice."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import ConfigurationError
from .language import translated as _
from .secret import Secret, hide
from .settings import resolve_base_url, resolve_key

__all__ = ["Platform"]


class Platform:
    """A second service of the same interface, for instance Alibaba Cloud Bailian.

    It is asked only when no model of the first one may be: the allowance is spent, or the model was
    withdrawn. It costs its owner's money, so it is capped: what is beyond the cap is refused.

    Args:
        base_url: its address, such as ``https://dashscope.aliyuncs.com/compatible-mode/v1``.
        models: by a model's ID here, which one there stands in for it; ``"*"`` for every other
            chat model. An embedding model needs its own entry, and it must be the same model:
            vectors of two models do not fit one index.
        max_calls: most calls a day, of all who share the ledger.
        api_key: its token, which is not ModelScope's.
        api_key_env: name of the environment variable that holds it; the only way for a client that
            is pickled, since tokens are not.

    Raises:
        ConfigurationError: no address, no model, or a cap below 1.
    """

    def __init__(
        self,
        base_url: str,
        *,
        models: Mapping[str, str],
        max_calls: int,
        api_key: str | Secret | None = None,
        api_key_env: str | None = None,
    ) -> None:
        """Check what was given; the token is looked for at the first call."""
        api_key = hide(api_key)
        if not base_url.strip():
            raise ConfigurationError(_("A platform needs its own base_url."))
        if not models or max_calls < 1:
            raise ConfigurationError(
                _(
                    "A platform needs models (which of its own stands in for which here) and "
                    "a cap: max_calls a day, at least 1."
                )
            )
        self.base_url = resolve_base_url(base_url)
        self.models = dict(models)
        self.max_calls = max_calls
        self.api_key_env = api_key_env
        self._key = resolve_key(api_key) if api_key else None

    def key(self) -> Secret:
        """Its token.

        Raises:
            ConfigurationError: it was not passed, and the environment has none.
        """
        return self._key or resolve_key(None, self.api_key_env)

    def substitute_model(self, model: str, task: str) -> str | None:
        """The model there that stands in for one here."""
        found = self.models.get(model)
        return found if found or task != "chat" else self.models.get("*")

    def __repr__(self) -> str:
        """Show the address and the cap, never the token."""
        return f"Platform({self.base_url!r}, max_calls={self.max_calls})"

    def __eq__(self, other: object) -> bool:
        """Equal when all but the token is."""
        return isinstance(other, Platform) and self._state() == other._state()

    def __hash__(self) -> int:
        """Hash of the address."""
        return hash(self.base_url)

    def _state(self) -> tuple[object, ...]:
        return self.base_url, self.models, self.max_calls, self.api_key_env

    def __reduce__(self) -> tuple[object, ...]:
        """Leave out the token, found again in the environment."""
        return _revive, self._state()


def _revive(
    base_url: str, models: dict[str, str], max_calls: int, api_key_env: str | None
) -> Platform:
    return Platform(base_url, models=models, max_calls=max_calls, api_key_env=api_key_env)
