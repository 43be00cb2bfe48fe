"""The address of a Redis or Valkey, in the forms of redis-py and a few more.

``redis://``, ``rediss://`` (TLS) and ``unix://`` mean what redis-py means by them, with all of its
options in the query. ``valkey://`` and ``valkeys://`` are the same for Valkey. A server that is a
node of a cluster is seen to be one and is used as such. ``redis+sentinel://host:26379,other:26379/
NAME/0`` names the sentinels and the service that they watch; options that begin with
``sentinel_`` are for the sentinels.

The query may also say ``when_down=`` and ``patience=``, which are this package's own.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from ..errors import ConfigurationError
from ..language import translated as _
from ..secret import join_address, mask_address

__all__ = ["SCHEMES", "RedisAddress", "shown"]

_ALIASES = {"valkey": "redis", "valkeys": "rediss"}
_SENTINELS = ("redis+sentinel://", "rediss+sentinel://")
_OF_SENTINELS = "sentinel_"
SCHEMES = (
    "redis://",
    "rediss://",
    "unix://",
    *(f"{alias}://" for alias in _ALIASES),
    *_SENTINELS,
)
# A server that does not answer must not hold a call up for long.
_PATIENCE = 2.0
_OURS = ("when_down", "patience")
# Answers are read as bytes, whatever other users of the server like.
_NOT_THEIRS = (*_OURS, "decode_responses")


class RedisAddress(Struct):
    """Where a Redis is, and how long it may take.

    Attributes:
        url: as redis-py takes it, or of sentinels.
        patience: seconds that one question may take.
        shown: the address fit for a message: without user name, password and options.
        is_cluster: whether the server is a node of a cluster; found out at the first use.
    """

    url: str
    patience: float
    shown: str
    is_cluster: bool = False

    @classmethod
    def parse(cls, url: str, patience: float | None = None) -> RedisAddress:
        """Read an address.

        Raises:
            ConfigurationError: it cannot be read, or ``patience`` is not a number from 0 to 3600.
        """
        try:
            parts = urllib.parse.urlsplit(url)
        except ValueError:
            raise ConfigurationError(
                _(
                    "{url} is not an address of a Redis. Use one such as redis://127.0.0.1:6379/0."
                ).format(url=shown(url))
            ) from None
        query = urllib.parse.parse_qsl(parts.query)
        try:
            said = float(dict(query).get("patience", _PATIENCE))
        except ValueError:
            said = 0.0
        seconds = said if patience is None else patience
        if not 0 < seconds < 3600:
            raise ConfigurationError(
                _(
                    "patience of the ledger at {url} must be a number of seconds above 0: how "
                    "long one question to the Redis may take."
                ).format(url=shown(url))
            )
        theirs = urllib.parse.urlencode([pair for pair in query if pair[0] not in _NOT_THEIRS])
        scheme = _ALIASES.get(parts.scheme, parts.scheme)
        plain = join_address(parts._replace(scheme=scheme, query=theirs))
        return cls(plain, seconds, shown(url))

    def client(self) -> Any:
        """A client for threads; finds out whether the server is a node of a cluster.

        Raises:
            ConfigurationError: the address says something that redis-py does not take.
        """
        import redis
        import redis.sentinel

        if self.url.startswith(_SENTINELS):
            return self._checked(lambda: self._through_sentinels(redis.sentinel.Sentinel))
        if not self.is_cluster:
            client = self._checked(lambda: redis.Redis.from_url(self.url, **self._alone()))
            self.is_cluster = _is_cluster(client, redis)
            if not self.is_cluster:
                return client
            client.close()
        return redis.RedisCluster.from_url(self.url, **self._options())

    def asyncio_client(self) -> Any:
        """A client for the event loop that runs, after `client` has seen what the server is."""
        import redis
        import redis.asyncio
        import redis.asyncio.sentinel

        if self.url.startswith(_SENTINELS):
            return self._through_sentinels(redis.asyncio.sentinel.Sentinel)
        if self.is_cluster:
            return redis.asyncio.RedisCluster.from_url(self.url, **self._options())
        return redis.asyncio.Redis.from_url(self.url, **self._alone())

    def _checked(self, build: Callable[[], Any]) -> Any:
        """Build a client, and check the options of its address before it connects."""
        try:
            client = build()
            pool = client.connection_pool
            pool.connection_class(**pool.connection_kwargs)
        except (TypeError, ValueError) as error:
            # A ValueError may quote a part of a password; a TypeError names an option.
            reason = str(error) if isinstance(error, TypeError) else type(error).__name__
            raise ConfigurationError(
                _("The address {url} says what the package redis does not take ({reason}).").format(
                    url=self.shown, reason=reason
                )
            ) from None
        return client

    def _options(self) -> dict[str, Any]:
        seconds = self.patience
        return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "protocol": 2}

    def _alone(self) -> dict[str, Any]:
        # No retries of its own: a script that was sent may have run. A cluster asks again only
        # where a key has moved.
        return {**self._options(), "retry": None}

    def _through_sentinels(self, sentinel: Any) -> Any:
        """The server that the sentinels call the master; the address names both."""
        parts = urllib.parse.urlsplit(self.url)
        credentials, _, hosts = parts.netloc.rpartition("@")
        user, _, password = credentials.partition(":")
        service, _, database = parts.path.strip("/").partition("/")
        options = {
            **self._options(),
            "username": urllib.parse.unquote(user) or None,
            "password": urllib.parse.unquote(password) or None,
            "db": int(database or 0),
            "ssl": parts.scheme.startswith("rediss"),
        }
        of_sentinels = {"socket_timeout": self.patience, "ssl": options["ssl"]}
        asked = urllib.parse.parse_qsl(parts.query)
        options |= _typed([pair for pair in asked if not pair[0].startswith(_OF_SENTINELS)])
        theirs = [pair for pair in asked if pair[0].startswith(_OF_SENTINELS)]
        of_sentinels |= _typed([(name.removeprefix(_OF_SENTINELS), it) for name, it in theirs])
        places = [_host_and_port(host) for host in hosts.split(",")]
        watchers = sentinel(places, sentinel_kwargs=of_sentinels)
        return watchers.master_for(service or "mymaster", **options)


def shown(url: str) -> str:
    """An address fit for a message: without user name, password and options."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return mask_address(url)
    return join_address(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def _host_and_port(text: str) -> tuple[str, int]:
    place = urllib.parse.urlsplit(f"//{text}")
    return place.hostname or "localhost", place.port or 26379


def _typed(options: list[tuple[str, str]]) -> dict[str, Any]:
    """Options of a query, as redis-py reads them."""
    from redis import connection

    read: Any = connection.parse_url  # without annotations
    return dict(read(f"redis://?{urllib.parse.urlencode(options)}"))


def _is_cluster(client: Any, redis: Any) -> bool:
    try:
        return bool(client.info("cluster").get("cluster_enabled"))
    except redis.ResponseError:  # a user that may not ask
        return False
