"""What the command prints, for the pages: typed on the local service, and written down.

Only what differs from one moment and one machine to the next is replaced: times, addresses, the
ledger's place, the versions of other packages.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
from collections.abc import Iterator
from unittest import mock

from rich.cells import cell_len

from docs.local_account import local_account
from modelscope_transport import ChatRequest, Client, EmbeddingRequest, Message, QuotaExceededError
from modelscope_transport.cli import main

CODER = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
FLAGSHIP = "Qwen/Qwen3.5-397B-A17B"
SPENT = "ZhipuAI/GLM-4.7-Flash"
TYPED = [
    ["quota", "--refresh"],
    ["plan", "1000", "--model", CODER],
    ["models", "show", FLAGSHIP],
    ["doctor"],
]
_MIDNIGHT = {
    "en": "11-23 00:00 UTC+8 (11-22 17:00 here, in 6 h 40 min)",
    "zh": "11-23 00:00 UTC+8（本地 11-22 17:00，还有 6 小时 40 分钟）",
}
_RETURN = {"en": "comes back", "zh": "恢复时间"}
_ALIKE = [
    (r"(?m)^\d{4}-\d\d-\d\d(?=  )", "2026-11-22"),
    (r"done on \d{4}-\d\d-\d\d", "done on 2026-11-27"),
    (r"\d{4}-\d\d-\d\d 完成", "2026-11-27 完成"),
    (r"[+-]\d+ (s beside|秒)", r"+0 \1"),
    (r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:8000"),
    (r"(langchain-core|llama-index-core|httpx|redis) [\w.]+", r"\1 …"),
]


@functools.cache
def commands(language: str = "en") -> str:
    """Some commands and what they print, in Markdown.

    Args:
        language: ``"en"`` or ``"zh"``.
    """
    with (
        a_day_that_has_begun() as folder,
        mock.patch.dict(os.environ, {"MODELSCOPE_LANG": language}),
    ):
        told = "\n\n".join(
            f"$ modelscope-adapters {' '.join(words)}\n{typed(words)}" for words in TYPED
        )
    told = told.replace(folder, "~/.local/state/modelscope-adapters")
    midnight, head = _MIDNIGHT[language], _RETURN[language]
    told = re.sub(r"\d\d-\d\d \d\d:\d\d UTC\+8 ?[(（][^)）]*[)）] *", f"{midnight}  ", told)
    told = re.sub(f"{head} +", head + " " * (cell_len(midnight) - cell_len(head) + 2), told)
    for pattern, instead in _ALIKE:
        told = re.sub(pattern, instead, told)
    return f"```console\n{told}\n```"


@contextlib.contextmanager
def a_day_that_has_begun() -> Iterator[str]:
    """An account on the local service, some calls later; the folder of its ledger.

    A grant is left of another day; today's owner has not signed in on the website yet.
    """
    with local_account("magicubes=200,sign-in") as (service, folder):
        service.meter.grant(60, hours=24 * 90)
        client = Client()
        for model in (CODER, CODER, CODER, FLAGSHIP):
            ask(client, model)
        client.embed(EmbeddingRequest(model="Qwen/Qwen3-Embedding-0.6B", texts=("Hello",)))
        service.next("model_spent")
        with contextlib.suppress(QuotaExceededError):
            ask(client, SPENT)
        yield folder


def ask(client: Client, model: str) -> None:
    """One call."""
    client.chat(ChatRequest(model=model, messages=(Message("user", "Hello"),)))


def typed(words: list[str]) -> str:
    """What a command prints."""
    with contextlib.redirect_stdout(io.StringIO()) as told:
        main(words)
    return told.getvalue().strip()
