"""The address of a Redis goes to another process without its password, which is found there."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from modelscope_transport import Client, ConfigurationError, EmbeddingResult, ResponseCache
from modelscope_transport.jobs.block_stage import BlockStage
from modelscope_transport.jobs.job_file import JobFile
from modelscope_transport.quota import RedisLedger
from modelscope_transport.secret import mask_address, unmask_address
from modelscope_transport.settings import resolve_ledger
from tests.transport.quota.redis_server import RedisServer

PASSWORD = "open-sesame-0815"
ADDRESSES = (
    f"redis://me:{PASSWORD}@redis.internal:6379/3",
    f"redis://:{PASSWORD}@redis.internal:6379/3?patience=5",
    f"redis://redis.internal:6379/3?password={PASSWORD}&socket_keepalive=true",
    f"rediss://{PASSWORD}@redis.internal:6379/3",
    f"unix://me:{PASSWORD}@/run/redis.sock?db=3",
    f"unix:///run/redis.sock?password={PASSWORD}",
    f"redis+sentinel://:{PASSWORD}@one:26379,two:26379/mymaster/3?sentinel_password={PASSWORD}",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_pickle_and_no_file_holds_the_password(address: str, tmp_path: Path) -> None:
    cache, ledger = ResponseCache(address), RedisLedger(address)
    client = Client("ms-1", ledger=address, cache=cache)
    held = Client("ms-1", ledger=ledger)
    stage = BlockStage(
        {"ledger": address, "api_key": PASSWORD}, address, 1, True, None, "owner/model"
    )
    for each in (cache, client, client.aio, held, stage):
        assert PASSWORD.encode() not in pickle.dumps(each)
    assert PASSWORD not in ledger.name
    JobFile(input="in", ledger=address).write(tmp_path / "out")
    assert PASSWORD not in JobFile.place(tmp_path / "out").read_text()


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_password_is_found_in_the_environment(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked = mask_address(address)
    assert mask_address(masked) == masked
    monkeypatch.setenv("MODELSCOPE_LEDGER", address)
    assert resolve_ledger(masked) == address
    for elsewhere in ("memory", address.replace("redis", "other"), masked):
        monkeypatch.setenv("MODELSCOPE_LEDGER", elsewhere)
        with pytest.raises(ConfigurationError, match="MODELSCOPE_LEDGER") as caught:
            resolve_ledger(masked)
        assert PASSWORD not in str(caught.value)


def test_another_database_of_the_same_server_has_the_same_password() -> None:
    known = f"redis://:{PASSWORD}@host:6379/0?when_down=0.5"
    assert unmask_address("redis://***@host:6379/1", known) == f"redis://:{PASSWORD}@host:6379/1"
    assert unmask_address("redis://***@host:6380/1", known) is None


@pytest.mark.parametrize("name", ["auto", "memory", "off", "folder/***@b.sqlite3", "C:\\a@b.db"])
def test_what_is_no_address_with_a_password_stays_as_it_is(name: str) -> None:
    assert mask_address(name) == name
    assert unmask_address(name, "") == name


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[str]:
    """A Redis that wants a password."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    server = RedisServer(program, tmp_path)
    server.start()
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", PASSWORD)
    yield f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"
    server.stop()


def test_a_pickled_cache_finds_its_server_again_or_says_what_is_missing(
    locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ResponseCache(locked)
    cache.keep(b"k", EmbeddingResult(([1.0],)))
    packed = pickle.dumps(cache)
    with pytest.raises(ConfigurationError, match="MODELSCOPE_LEDGER"):
        pickle.loads(packed).find_vectors(b"k")
    monkeypatch.setenv("MODELSCOPE_LEDGER", locked)
    assert pickle.loads(packed).find_vectors(b"k") == EmbeddingResult(([1.0],))
