"""A pool that one framework finds spent is spent for the other, in other processes and hosts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeEmbeddings,
    ModelScopeQuotaExceededError,
)
from modelscope_transport import Client
from modelscope_transport.emulator import LocalService
from tests.transport.quota.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("books_closed")

ROOT = Path(__file__).parents[1]
CHAT = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
# A process of another framework: on the same host with a file, on any host with a Redis.
ELSEWHERE = """
import sys
from llamaindex_modelscope import ModelScope, ModelScopeEmbedding, ModelScopeQuotaExceededError
from modelscope_transport import Client

token, base_url, ledger, chat, embedding = sys.argv[1:]
client = Client(token, base_url=base_url, ledger=ledger)
llm, embed_model = ModelScope(chat, client=client), ModelScopeEmbedding(embedding, client=client)
for call in (llm.complete, llm.stream_complete, embed_model.get_text_embedding):
    try:
        call("Hello")
    except ModelScopeQuotaExceededError as error:
        print(error.scope, error.details.attempts)
"""


@pytest.fixture(params=["sqlite", "redis"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.sqlite3")
        return
    pytest.importorskip("redis", reason="the extra [redis] is not installed")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    server = RedisServer(program, tmp_path)
    server.start()
    yield server.url
    server.stop()


@pytest.mark.slow
def test_a_spent_account_costs_one_request_whoever_asks_and_wherever(ledger: str) -> None:
    with LocalService() as service:
        client = Client(service.token, base_url=service.base_url, ledger=ledger)
        chat = ChatModelScope(model=CHAT, client=client)
        embeddings = ModelScopeEmbeddings(model=EMBEDDING, client=client)
        service.next("account_spent")
        for ask in (chat.invoke, chat.invoke, embeddings.embed_query):
            with pytest.raises(ModelScopeQuotaExceededError):
                ask("Hello")
        words = [sys.executable, "-c", ELSEWHERE, service.token, service.base_url, ledger]
        said = subprocess.run(
            [*words, CHAT, EMBEDDING], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

        assert said.splitlines() == ["account 0"] * 3
        assert len(service.requests) == 1
