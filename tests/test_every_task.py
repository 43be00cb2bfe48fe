"""Every row of the task registry: encoded, sent, decoded, and reached through both frameworks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_modelscope
import llamaindex_modelscope
from modelscope_transport import Client
from modelscope_transport._wire.wires import wire_of
from modelscope_transport.catalogue.tasks import TASKS, Task
from modelscope_transport.emulator import LocalService, Model

SOUND, PICTURE = "https://example.com/x.wav", "https://example.com/x.png"
# How the local service knows a task that ModelScope knows by another name.
HUB_NAMES = {
    "classic-sentence-embedding": "sentence-embedding",
    "classic-text-ranking": "text-ranking",
}
# What a pipeline takes, as a caller of a tool would say it.
INPUTS: dict[str, Any] = {
    "text": "Ann Lee was in Paris.",
    "sentences": ["one text", "another text"],
    "pair": ["one text", "another text"],
    "audio": SOUND,
    "image": PICTURE,
    "object": {"messages": [{"role": "user", "content": "hello"}]},
}
PARAMETERS = {"zero-shot-classification": {"candidate_labels": ["city", "person"]}}

SERVED = [row for row in TASKS.values() if row.status != "not offered"]
each_served = pytest.mark.parametrize("row", SERVED, ids=lambda row: row.name)


def offered(row: Task) -> Model:
    """A model of the task, for the local service."""
    task = HUB_NAMES.get(row.name, row.name)
    match row.kind:
        case "embedding":
            return Model("own/model", "embedding", dimensions=8)
        case "image":
            edits = row.name == "image-to-image"
            return Model("own/model", "image", edits=edits, references=4)
        case "pipeline":
            return Model("own/model", "pipeline", task=task)
    return Model("own/model", vision="image" in row.name or "visual" in row.name)


def use_langchain(row: Task, it: Any) -> str:
    match row.kind:
        case "chat":
            return str(it.invoke("Hello there!").text)
        case "embedding":
            assert len(it.embed_query("hello")) == 8
            return "vectors"
        case "image":
            asked: dict[str, Any] = {"prompt": "a fox"}
            if row.name == "image-to-image":
                asked["images"] = [PICTURE]
            call = {"type": "tool_call", "id": "1", "name": it.name, "args": asked}
            message = it.invoke(call)
            assert message.artifact[0]["type"] == "image"
            return str(message.content)
    return str(it.invoke({"input": INPUTS[row.form.takes]}))


def use_llamaindex(row: Task, it: Any) -> str:
    match row.kind:
        case "chat":
            return str(it.complete("Hello there!"))
        case "embedding":
            assert len(it.get_query_embedding("hello")) == 8
            return "vectors"
        case "image":
            (tool,) = it.to_tool_list()
            asked = {"images": [PICTURE]} if row.name == "image-to-image" else {}
            output = tool.call(prompt="a fox", **asked)
            assert output.raw_output.images
            return str(output)
    (tool,) = it.to_tool_list()
    return str(tool.call(input=INPUTS[row.form.takes]))


FRAMEWORKS = {
    "langchain": (langchain_modelscope, use_langchain),
    "llamaindex": (llamaindex_modelscope, use_llamaindex),
}


@each_served
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_task_is_reached_through_its_class(framework: str, row: Task) -> None:
    package, use = FRAMEWORKS[framework]
    with LocalService(models=[offered(row)]) as service:
        arguments: dict[str, Any] = {"api_key": service.token, "base_url": service.base_url}
        if row.kind == "image":
            arguments |= {"size": "64x64", "poll_interval": 0.01}
        if row.name in PARAMETERS:
            arguments["parameters"] = PARAMETERS[row.name]

        it = package.load("own/model", row.name, **arguments)
        said = use(row, it)

        assert type(it).__name__ == getattr(row, framework)
        assert said
        first = service.requests[0]
        path = wire_of(row).PATH.removeprefix("/..").replace("{model}", "own/model")
        assert first.path.endswith(path)
        assert first.body.get("model", "own/model") == "own/model"


@pytest.mark.parametrize(
    "row", [row for row in TASKS.values() if row.status == "not offered"], ids=lambda row: row.name
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_task_that_nobody_offers_is_refused_before_any_request(framework: str, row: Task) -> None:
    package, _ = FRAMEWORKS[framework]
    with LocalService() as service:
        with pytest.raises(package.ModelScopeUnsupportedTaskError, match="does not offer"):
            package.load("own/model", row.name, api_key=service.token, base_url=service.base_url)
        assert not service.requests


@each_served
def test_a_task_that_is_named_needs_no_look_up(row: Task) -> None:
    with LocalService(models=[offered(row)]) as service:
        client = Client(service.token, base_url=service.base_url)
        assert client.task_of("own/model", row.name) is row
        assert not service.requests


def test_the_rerankers_of_both_frameworks_agree() -> None:
    texts = ["Bananas are yellow.", "Paris is the capital of France.", "Dogs bark."]
    model = "Qwen/Qwen3-235B-A22B-Instruct-2507"
    with LocalService() as service:
        reach = {"api_key": service.token, "base_url": service.base_url}
        one = langchain_modelscope.ModelScopeRerank(model=model, **reach)
        two = llamaindex_modelscope.ModelScopeRerank(model=model, **reach)

        documents = one.compress_documents(
            [Document(page_content=text) for text in texts], "the capital of France"
        )
        nodes = two.postprocess_nodes(
            [NodeWithScore(node=TextNode(text=text)) for text in texts],
            query_str="the capital of France",
        )

        first, second = service.requests
    assert [document.page_content for document in documents] == [node.text for node in nodes]
    assert documents[0].page_content == texts[1]
    assert json.dumps(first.body) == json.dumps(second.body)
