"""What both colours of a client share: how it is made, compared and pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from .._wire.checks import check_headers
from ..calls.admission import Concurrency
from ..catalogue.models import ModelProfile
from ..errors import ConfigurationError
from ..platforms import Platform
from ..quota import Budget, Ledger
from ..settings import resolve_base_url, resolve_token
from .core import (
    Core,
    Options,
    checked_concurrency,
    checked_timeout,
    name_of,
)
from .response_cache import ResponseCache

__all__ = ["ClientFront"]


class ClientFront:
    """What both colours share: construction, comparison, pickling."""

    _core: Core

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 600.0,
        max_retries: int = 2,
        proxy: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        image_tasks: int = 1,
        ledger: Ledger | str | None = "auto",
        budget: Budget | None = None,
        concurrency: Concurrency = "adaptive",
        platforms: Sequence[Platform] = (),
        account: str | None = None,
        merge: bool = False,
        cache: ResponseCache | None = None,
        http_client: Any = None,
        http_async_client: Any = None,
    ) -> None:
        token = resolve_token(api_key)
        del api_key  # a traceback that shows locals must not show it
        if max_retries < 0:
            raise ConfigurationError(f"max_retries must be at least 0, and is {max_retries!r}.")
        if image_tasks < 1:
            raise ConfigurationError(f"image_tasks must be at least 1, and is {image_tasks!r}.")
        check_headers(default_headers)
        checked_timeout(timeout)
        options = Options(
            base_url=resolve_base_url(base_url),
            timeout=timeout,
            max_retries=max_retries,
            proxy=proxy,
            default_headers=dict(default_headers) if default_headers else None,
            image_tasks=image_tasks,
            account=account,
            ledger=name_of(ledger),
            budget=budget,
            concurrency=checked_concurrency(concurrency),
            platforms=tuple(platforms),
            merge=merge,
            cache=cache,
        )
        given = ledger if isinstance(ledger, Ledger) else None
        self._core = Core(options, token, given, http_client, http_async_client)

    @property
    def base_url(self) -> str:
        """Address of the service."""
        return self._core.options.base_url

    @property
    def ledger(self) -> Ledger | None:
        """Where is counted what is spent; ``None`` when that was switched off."""
        return self._core.ledger

    def profile(self, model: str) -> ModelProfile:
        """What a model can do, as far as is known."""
        return self._core.profile(model)

    def __repr__(self) -> str:
        """Show the address, never the token. A client that was refused has none."""
        made = f"base_url={self.base_url!r}" if "_core" in vars(self) else ""
        return f"{type(self).__name__}({made})"

    def __copy__(self) -> Self:
        """A client has no state of its own to copy."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `__copy__`; a deep copy in the same process keeps its token."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the token, found again in the environment, and injected HTTP clients."""
        return _revive, (type(self), self._core.options)


def _revive(cls: type[ClientFront], options: Options) -> ClientFront:
    client = cls.__new__(cls)
    client._core = Core(options, None)
    return client
