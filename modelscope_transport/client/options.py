"""What a client is made with. Each option is declared here, once; the others read it.

The clients' constructors take their signature from `Options`, `core` reads its fields, and an
adapter passes on those of its own fields that are named alike (`OPTIONS`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec

from msgspec import Struct

from .._wire.checks import check_headers
from ..calls.admission import Concurrency
from ..errors import ConfigurationError
from ..language import translated as _
from ..platforms import Platform
from ..quota import Budget, Ledger
from ..secret import Secret, hide, mask_address
from ..settings import resolve_base_url, resolve_token
from .response_cache import ResponseCache

__all__ = ["CREDENTIALS", "OPTIONS", "Options", "checked_timeout", "hide_options", "takes_options"]

# Options that are secrets themselves: they are in no pickle.
CREDENTIALS = ("api_key", "proxy", "default_headers")
# Clocks of event loops refuse what is not finite.
_LONGEST = 7 * 86400.0


class _Token(Struct):
    # Apart from the others because it alone may be passed without its name.
    api_key: str | Secret | None = None


class Options(_Token, kw_only=True):
    """Options of a client, all with a default.

    Args:
        api_key: the access token; else the first set variable of ``MODELSCOPE_API_KEY``,
            ``MODELSCOPE_SDK_TOKEN``, ``MODELSCOPE_API_TOKEN``, ``MODELSCOPE_ACCESS_TOKEN``; else
            the token that ``modelscope-adapters login`` has stored.
        base_url: address of the service; else ``MODELSCOPE_API_BASE``, ``MODELSCOPE_BASE_URL``,
            else ``https://api-inference.modelscope.cn/v1``.
        timeout: total deadline of a call in seconds: waits, retries and the stream included. Long,
            because a call that is not streamed has been seen to take 19 minutes (2026-09-24).
        connect_timeout: seconds for a connection to come up, TLS and a proxy included.
        idle_timeout: seconds without a byte after which a reply counts as lost. Thinking models
            are silent for long.
        max_retries: further attempts after the first, for what a moment may heal.
        proxy: address of a proxy, ``"none"`` for none; by default what the environment says.
        default_headers: further headers of every request. They may be credentials: no ``repr``,
            error or pickle shows them.
        image_tasks: images in the making at once; the service has been seen to refuse a second
            (piexian/astrbot_plugin_gemini_image_generation#99).
        account: a name for the account, where several of its tokens are in use, so that they are
            counted as one.
        ledger: where spending is counted: ``"memory"``, ``"off"``, a file, the address of a Redis,
            or a `Ledger`; ``None`` is ``"off"``. By default ``MODELSCOPE_LEDGER``, else a file
            that all processes of a user share.
        budget: limits of your own, beyond which calls are refused without a request.
        concurrency: calls to one model at once, of all clients of this account in this process: a
            number, ``None`` for any, ``"adaptive"`` to find out how many the service takes.
        platforms: services to turn to, at your own cost, when the allowance is spent.
        merge: whether identical calls that are on their way at the same time are made once.
            Streams are not: their reader sets the pace and may stop in the middle, so others
            cannot depend on it. With a cache, a stream that was read to its end serves the next.
        cache: where answers are kept, streamed ones included, for the next time the same is asked.
        http_client: an ``httpx.Client`` or ``httpx2.Client`` to send through instead of the
            account's own connections.
        http_async_client: an ``AsyncClient`` of either, likewise, for event loops.

    Raises:
        ConfigurationError: something that cannot be used.
    """

    base_url: str | None = None
    timeout: float = 600.0
    connect_timeout: float = 10.0
    idle_timeout: float = 120.0
    max_retries: int = 2
    proxy: str | Secret | None = None
    default_headers: Mapping[str, str | Secret] | None = None
    image_tasks: int = 1
    account: str | None = None
    ledger: Ledger | str | None = "auto"
    budget: Budget | None = None
    concurrency: Concurrency = "adaptive"
    platforms: Sequence[Platform] = ()
    merge: bool = False
    cache: ResponseCache | None = None
    http_client: Any = None
    http_async_client: Any = None

    def __post_init__(self) -> None:
        """Hide credentials, then check each value."""
        self.api_key, self.proxy = hide(self.api_key), hide(self.proxy)
        self.default_headers = _hidden(self.default_headers)
        check_headers(self.headers)
        self.api_key = resolve_token(self.api_key)
        self.base_url = resolve_base_url(self.base_url)
        for name in ("timeout", "connect_timeout", "idle_timeout"):
            setattr(self, name, checked_timeout(getattr(self, name), name))
        for name, least in (("max_retries", 0), ("image_tasks", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ConfigurationError(
                    _("{name} must be at least {least}, and is {value!r}.").format(
                        name=name, least=least, value=value
                    )
                )
        _check_concurrency(self.concurrency)
        self.platforms = tuple(self.platforms)

    @property
    def headers(self) -> dict[str, Secret]:
        """The further headers of every request."""
        return dict(self.default_headers or {})  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """Address of the service."""
        assert self.base_url is not None
        return self.base_url

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out credentials and what belongs to this process.

        Token, proxy and the password of a Redis are looked for in the environment again; headers
        have to be passed anew.
        """
        left_out = (*CREDENTIALS, "http_client", "http_async_client")
        kept = {
            name: getattr(self, name) for name in self.__struct_fields__ if name not in left_out
        }
        ledger = self.ledger
        name = ledger.name if isinstance(ledger, Ledger) else ledger
        kept["ledger"] = None if name is None else mask_address(name)
        return _made, (kept,)

    def __repr__(self) -> str:
        """Show the address alone."""
        return f"Options(base_url={self.base_url!r})"


def _made(values: dict[str, Any]) -> Options:
    options = Options(Secret("unknown"), **values)
    options.api_key = None  # looked for at the first call
    return options


OPTIONS: tuple[str, ...] = Options.__struct_fields__

P = ParamSpec("P")


def takes_options(
    options: Callable[P, Options],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give a constructor the parameters of the options.

    So type checkers, ``help`` and editors see each option where it is passed, though it is
    declared in `Options` alone.
    """
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)

    def give(constructor: Callable[..., None]) -> Any:
        signature = inspect.Signature([own, *inspect.signature(options).parameters.values()])
        constructor.__signature__ = signature  # type: ignore[attr-defined]
        return constructor

    return give


def hide_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options as they were passed, their credentials hidden: a traceback may show them."""
    hidden = dict(options)
    if "proxy" in hidden:
        hidden["proxy"] = hide(hidden["proxy"])
    if "default_headers" in hidden:
        hidden["default_headers"] = _hidden(hidden["default_headers"])
    return hidden


def _hidden(headers: Mapping[str, str | Secret] | None) -> dict[str, Secret]:
    return {
        name: value if isinstance(value, Secret) else Secret(value)
        for name, value in (headers or {}).items()
    }


def checked_timeout(timeout: object, name: str = "timeout") -> float:
    """A number of seconds above 0, bounded to a week.

    Raises:
        ConfigurationError: it is not such a number.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigurationError(
            _("{name} must be above 0 seconds, and is {timeout!r}.").format(
                name=name, timeout=timeout
            )
        )
    return min(timeout, _LONGEST)


def _check_concurrency(concurrency: object) -> None:
    whole = isinstance(concurrency, int) and concurrency >= 1
    if concurrency not in (None, "adaptive") and not whole:
        raise ConfigurationError(
            _(
                "concurrency must be a number from 1 on, None or 'adaptive', and is "
                "{concurrency!r}."
            ).format(concurrency=concurrency)
        )
