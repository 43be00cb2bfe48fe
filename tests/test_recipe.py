"""CONTRIBUTING.md's recipes, followed on a copy: a model is one table, a task one table and a file.

Nothing else of the copy is changed; a program that uses both frameworks then meets them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("modelscope_transport", "langchain_modelscope", "llamaindex_modelscope")

MODEL = """
[models."own/Brand-New-7B"]
context_window = 65_536
thinking = "hybrid"
inputs = ["text", "image"]
source = "its page"
checked = "2026-10-06"
"""

TASK = """
[tasks.protein-structure]
wire = "proteins"
does = "folds proteins"
langchain = "ModelScopePipelineTool"
llamaindex = "ModelScopePipelineToolSpec"
takes = "text"
status = "served"
source = "its page"
checked = "2026-10-06"
"""

WIRE = '''
"""Proteins on the wire: ``POST /proteins``."""

import msgspec

from ..task_types import PipelineResult
from .checks import check_model, to_json
from .encoded import Encoded

PATH = "/proteins"


def prepare(request, profile, *, stream, form):
    check_model(request.model)

    def read(reply):
        data = msgspec.json.decode(reply.body)
        return PipelineResult(data["fold"], data)

    return Encoded(body=to_json({"model": profile.id, "chain": request.input}), read=read)
'''

PROGRAM = """
from langchain_modelscope import ChatModelScope, load
from llamaindex_modelscope import ModelScope, load as load_llama
from modelscope_transport.emulator import LocalService, Reply, inference, routes

assert ChatModelScope(model="own/Brand-New-7B", api_key="ms-x").profile["max_input_tokens"] == 65536
assert ModelScope("own/Brand-New-7B", api_key="ms-x").metadata.context_window == 65536

async def fold(backend, request):
    return Reply(200, {"fold": request.body["chain"].lower()})

routes.ROUTES = (*routes.ROUTES, routes.Route("POST", "/v1/proteins", fold, paid=True))
with LocalService() as service:
    reach = {"api_key": service.token, "base_url": service.base_url}
    print(load("own/Folder", "protein-structure", **reach).invoke("MKV"))
    (tool,) = load_llama("own/nlp_net_protein-structure_x", **reach).to_tool_list()
    print(tool.metadata.name, tool.call(input="GAT"))
    try:
        ChatModelScope(model="own/nlp_net_protein-structure_x", **reach).invoke("Hello")
    except Exception as error:
        print(error)
    print([request.path for request in service.requests])
"""


RERANKING = """
from langchain_core.documents import Document
from langchain_modelscope import load
from modelscope_transport.emulator import LocalService, Reply, routes

async def rank(backend, request):
    texts = request.body["documents"]
    found = [{"index": at, "relevance_score": len(text)} for at, text in enumerate(texts)]
    return Reply(200, {"results": found})

routes.ROUTES = (*routes.ROUTES, routes.Route("POST", "/v1/rerank", rank, paid=True))
with LocalService() as service:
    rerank = load("Qwen/Qwen3-Reranker-8B", api_key=service.token, base_url=service.base_url)
    documents = [Document(page_content=text) for text in ("a", "ccc", "bb")]
    print(*(document.page_content for document in rerank.compress_documents(documents, "q")))
    print(*(request.path for request in service.requests))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def run(folder: Path, program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_model_is_one_table_and_a_task_one_table_and_one_file(copy: Path) -> None:
    transport = copy / "modelscope_transport"
    append(transport / "data" / "models.toml", MODEL)
    append(transport / "data" / "tasks.toml", TASK)
    (transport / "_wire" / "proteins.py").write_text(WIRE, encoding="utf-8")

    told = run(copy)

    assert told.returncode == 0, told.stderr
    first, second, refusal, paths = told.stdout.splitlines()
    assert first == "mkv"
    assert second == "protein_structure gat"
    assert "protein-structure" in refusal
    assert "ModelScopePipelineTool in LangChain" in refusal
    assert paths == "['/v1/proteins', '/v1/proteins']"


@pytest.mark.slow
def test_without_them_the_same_program_fails(copy: Path) -> None:
    told = run(copy)
    assert told.returncode == 1
    assert "AssertionError" in told.stderr or "KeyError" in told.stderr


@pytest.mark.slow
def test_the_rerankers_address_is_one_word_away(copy: Path) -> None:
    """The day on which the service offers it, ``status`` is all that changes."""
    tasks = copy / "modelscope_transport" / "data" / "tasks.toml"
    text = tasks.read_text(encoding="utf-8")
    begin = text.index("[tasks.rerank]")
    tasks.write_text(
        text[:begin] + text[begin:].replace('"not offered"', '"served"', 1), encoding="utf-8"
    )
    told = run(copy, RERANKING)

    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == ["ccc bb a", "/v1/rerank"]
