"""A spent day, through the peers and through ours: requests sent, and seconds lost.

    python benchmarks/spent_day.py [--further 10]

The local service answers every call as the real one does when a model's day is spent: 429, and no
word of how long to wait. Each contestant is made as its own documentation makes it, asks once, and
then ten times more, one after another, in a process of its own. Every request is one that the
service counts or at least frowns upon, and none of them can succeed.

LiteLLM is not among this project's dependencies. It takes part where this Python can import it, or
from an environment of its own:

    python -m venv litellm && litellm/bin/pip install litellm
    LITELLM_PYTHON=litellm/bin/python python benchmarks/spent_day.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
# the packages stand beside this folder
sys.path[0] = str(ROOT)

MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
TOKEN = "ms-bench"


# --- the contestants: each made by its defaults -----------------------------------------------


def chat_openai(url: str) -> Callable[[], Any]:
    """LangChain's class for OpenAI, pointed here."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, api_key=TOKEN, base_url=url)  # type: ignore[arg-type]
    return lambda: model.invoke("Hello")


def openai_like(url: str) -> Callable[[], Any]:
    """LlamaIndex's class for servers like OpenAI's."""
    from llama_index.llms.openai_like import OpenAILike

    llm = OpenAILike(model=MODEL, api_key=TOKEN, api_base=url, is_chat_model=True)
    return lambda: llm.complete("Hello")


def litellm_router(url: str) -> Callable[[], Any]:
    """LiteLLM's Router with one deployment."""
    from litellm import Router  # type: ignore[import-not-found]

    at = {"model": f"openai/{MODEL}", "api_base": url, "api_key": TOKEN}
    router = Router(model_list=[{"model_name": "chat", "litellm_params": at}])
    hello = [{"role": "user", "content": "Hello"}]
    return lambda: router.completion(model="chat", messages=hello)


def ours_in_langchain(url: str) -> Callable[[], Any]:
    """Our chat model of LangChain."""
    from langchain_modelscope import ChatModelScope

    model = ChatModelScope(model=MODEL, api_key=TOKEN, base_url=url)
    return lambda: model.invoke("Hello")


def ours_in_llamaindex(url: str) -> Callable[[], Any]:
    """Our LLM of LlamaIndex."""
    from llamaindex_modelscope import ModelScope

    llm = ModelScope(model=MODEL, api_key=TOKEN, base_url=url)
    return lambda: llm.complete("Hello")


CONTESTANTS: dict[str, Callable[[str], Callable[[], Any]]] = {
    "ChatOpenAI": chat_openai,
    "OpenAILike": openai_like,
    "LiteLLM Router": litellm_router,
    "ChatModelScope": ours_in_langchain,
    "ModelScope": ours_in_llamaindex,
}
OURS = ("ChatModelScope", "ModelScope")


def take_part(name: str, url: str, further: int) -> None:
    """In a process of one's own: ask, tell how long it took, and go on when a line comes."""
    try:
        ask = CONTESTANTS[name](url)
    except ImportError:
        print(json.dumps(None), flush=True)
        return
    for _ in range(1 + further):
        begun = time.perf_counter()
        try:
            ask()
        except Exception as error:  # noqa: BLE001 - whatever it makes of it
            print(json.dumps([time.perf_counter() - begun, type(error).__name__]), flush=True)
            sys.stdin.readline()
        else:
            raise SystemExit(f"{name} got an answer out of a spent day")


# --- the day ----------------------------------------------------------------------------------


class Day(NamedTuple):
    """What came of one contestant's day.

    Attributes:
        requests: sent by the first call, and by the further ones together.
        seconds: lost by each.
        error: what the first call raised.
    """

    requests: tuple[int, int]
    seconds: tuple[float, float]
    error: str


def live_through(name: str, further: int) -> Day | None:
    """One contestant's day on a service of its own; ``None`` where it is not installed."""
    from modelscope_transport.emulator import LocalService

    python = os.environ.get("LITELLM_PYTHON") if name == "LiteLLM Router" else None
    command = [python or sys.executable, __file__, "--contestant", name]
    seconds: list[float] = []
    requests: list[int] = []
    errors: list[str] = []
    with LocalService(scenario="model_spent") as service:
        process = subprocess.Popen(
            [*command, "--url", service.base_url, "--further", str(further)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_SETTINGS},
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if told is None:
                return None
            seconds.append(told[0])
            errors.append(told[1])
            requests.append(len(service.requests))
            process.stdin.write("\n")
            process.stdin.flush()
        process.wait()
    if len(seconds) != 1 + further:
        raise SystemExit(f"{name} did not live through the day")
    return Day((requests[0], requests[-1] - requests[0]), (seconds[0], sum(seconds[1:])), errors[0])


# No ledger of the user's is touched, and nothing is asked beyond this machine.
_SETTINGS = {
    "MODELSCOPE_LEDGER": "memory",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "127.0.0.1",
}


def _told(name: str, day: Day | None) -> str:
    from benchmarks.measuring import verdict  # late: LiteLLM's environment may lack what it needs

    if day is None:
        return "not installed; the head of this file says how"
    (first, later), (lost, lost_later) = day.requests, day.seconds
    goal = f": 1, then 0: {verdict((first, later) == (1, 0))}" if name in OURS else ""
    numbers = f"{first:4} req {lost:8.2f} s {later:8} req {lost_later:8.2f} s"
    return f"{numbers}   {day.error}{goal}"


def main() -> None:
    """Let all of them live through the day at the same time: they mostly sleep."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--further", type=int, default=10)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        take_part(options.contestant, options.url, options.further)
        return
    further = f"{options.further} further"
    print(f"{'a spent day':16} {'first call':>18} {further:>22}   raises")
    with ThreadPoolExecutor(len(CONTESTANTS)) as threads:
        days = threads.map(live_through, CONTESTANTS, [options.further] * len(CONTESTANTS))
        for name, day in zip(CONTESTANTS, days, strict=True):
            print(f"{name:16} {_told(name, day)}", flush=True)


if __name__ == "__main__":
    main()
