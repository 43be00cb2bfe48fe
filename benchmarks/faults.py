"""The faults of tests/faults, met by these adapters and by the classes of OpenAI's form.

    python -m benchmarks.faults            every fault
    python -m benchmarks.faults stream     those whose name contains this

Each line says what a caller of ``ChatModelScope``, ``ModelScope``, ``ChatOpenAI`` and of
``OpenAILike`` gets from the same server, with the same time limits: the error's class or the
answer, the requests that the server saw, and the seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from langchain_openai import ChatOpenAI
from llama_index.llms.openai_like import OpenAILike

from langchain_modelscope import ChatModelScope
from llamaindex_modelscope import ModelScope
from modelscope_transport import Client
from tests.faults.replies import HONEST
from tests.faults.rows import Case
from tests.faults.server import serving
from tests.faults.table import DEADLINE, IDLE, SECTIONS
from tests.faults.ways import CHAT

TOKEN = "ms-benchmark"
PATIENT = 5.0  # seconds of a call where the fault is not one of time


def _client(url: str, hasty: bool) -> Client:
    timeout, idle = (DEADLINE, IDLE) if hasty else (PATIENT, PATIENT)
    return Client(TOKEN, base_url=url, ledger=None, timeout=timeout, idle_timeout=idle)


def _openai(url: str, hasty: bool) -> ChatOpenAI:
    timeout = IDLE if hasty else PATIENT
    return ChatOpenAI(model=CHAT, api_key=TOKEN, base_url=url, timeout=timeout)  # type: ignore[arg-type]


def _openai_like(url: str, hasty: bool) -> OpenAILike:
    timeout = IDLE if hasty else PATIENT
    return OpenAILike(CHAT, api_key=TOKEN, api_base=url, timeout=timeout, is_chat_model=True)


def _langchain(model: Any, form: str) -> str:
    if form == "whole":
        return str(model.invoke("Hello").text)
    return "".join(piece.text for piece in model.stream("Hello"))


def _llamaindex(model: Any, form: str) -> str:
    if form == "whole":
        return str(model.complete("Hello").text)
    return "".join(piece.delta or "" for piece in model.stream_complete("Hello"))


ASKED: dict[str, Callable[[str, bool, str], str]] = {
    "ChatModelScope": lambda url, hasty, form: _langchain(
        ChatModelScope(model=CHAT, client=_client(url, hasty)), form
    ),
    "ModelScope": lambda url, hasty, form: _llamaindex(
        ModelScope(CHAT, client=_client(url, hasty)), form
    ),
    "ChatOpenAI": lambda url, hasty, form: _langchain(_openai(url, hasty), form),
    "OpenAILike": lambda url, hasty, form: _llamaindex(_openai_like(url, hasty), form),
}


def met(name: str, case: Case, form: str, *, hasty: bool) -> str:
    """What a caller of one class gets, in words."""
    with serving(case.acts, honest=HONEST[form], times=case.times) as server:
        begun = time.monotonic()
        try:
            text = ASKED[name](f"http://127.0.0.1:{server.port}/v1", hasty, form)
            result = f"the text {text[:20]!r}"
        except Exception as error:  # noqa: BLE001 - whatever comes is what is shown
            result = type(error).__name__
        seconds = time.monotonic() - begun
        followed = ", and the other host was asked" if server.visits else ""
        return f"{result}, {len(server.requests)} requests, {seconds:.1f} s{followed}"


def main(wanted: str = "") -> None:
    """Print every fault whose name contains this."""
    for faults in SECTIONS.values():
        for fault in faults:
            for form in ("whole", "stream"):
                case = fault.case(form)
                if wanted in fault.name and isinstance(case, Case):
                    print(f"{fault.name} ({form})")
                    for name in ASKED:
                        print(
                            f"    {name:15} {met(name, case, form, hasty=fault.hasty)}", flush=True
                        )


if __name__ == "__main__":
    main(*sys.argv[1:2])
