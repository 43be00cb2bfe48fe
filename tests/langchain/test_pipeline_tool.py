"""`ModelScopePipelineTool` on the local service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeConfigurationError,
    ModelScopeModelNotServedError,
    ModelScopePipelineTool,
)
from modelscope_transport.emulator import LocalService, Reply
from modelscope_transport.task_types import Label, Sound, Vectors
from tests.langchain.progress import Events, steps

MOOD = "damo/nlp_structbert_sentiment-classification_chinese-base"
NAMES = "damo/nlp_raner_named-entity-recognition_chinese-base-news"
SPEECH = "iic/speech_sambert-hifigan_tts_zh-cn_16k"
LISTEN = "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch"
EMBED = "damo/nlp_corom_sentence-embedding_chinese-base"

MakeTool = Callable[..., ModelScopePipelineTool]


@pytest.fixture
def pipeline(service: LocalService) -> MakeTool:
    def make(model: str = MOOD, **options: Any) -> ModelScopePipelineTool:
        place = {"api_key": service.token, "base_url": service.base_url}
        return ModelScopePipelineTool(model=model, **(place | options))

    return make


class TestStandardUnit(ToolsUnitTests):
    @property
    def tool_constructor(self) -> type[ModelScopePipelineTool]:
        return ModelScopePipelineTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"model": MOOD, "api_key": "ms-x"}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"input": "很好"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"MODELSCOPE_API_KEY": "ms-env"}, {"model": MOOD}, {"model_name": MOOD}


class TestStandardIntegration(ToolsIntegrationTests):
    @pytest.fixture
    def tool(self, pipeline: MakeTool) -> ModelScopePipelineTool:
        return pipeline()

    @property
    def tool_constructor(self) -> type[ModelScopePipelineTool]:
        return ModelScopePipelineTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"input": "很好"}


def test_the_task_comes_from_the_id_and_names_the_tool(pipeline: MakeTool) -> None:
    tool = pipeline()
    assert (tool.task, tool.name) == ("sentiment-classification", "sentiment_classification")
    assert "sentiment" in tool.description
    assert pipeline(task="text-classification").name == "text_classification"


def called(tool: ModelScopePipelineTool, given: Any) -> Any:
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": given})


def test_the_typed_answer_and_the_text_that_a_model_reads(pipeline: MakeTool) -> None:
    tool = pipeline()
    message = called(tool, {"input": "我喜欢"})
    best, other = tool.run_pipeline("我喜欢").output
    assert isinstance(best, Label)
    assert best.score > other.score
    assert message.content.startswith('[{"label":"正面","score":')
    assert message.artifact == [msgspec.structs.asdict(label) for label in (best, other)]


@pytest.mark.parametrize("model", [MOOD, NAMES, SPEECH])
def test_a_checkpoint_keeps_its_answer(pipeline: MakeTool, model: str) -> None:
    message = called(pipeline(model), {"input": "We met Ann Lee."})
    kept = JsonPlusSerializer()
    assert message.artifact
    assert kept.loads_typed(kept.dumps_typed(message)) == message


def test_a_file_of_sound_is_no_text_for_a_model(pipeline: MakeTool, service: LocalService) -> None:
    file = "UklGRgAAAABXQVZFZm10IA=="
    service.next(Reply(200, {"Code": 200, "Data": {"output_wav": file}}))
    message = called(pipeline(SPEECH), {"input": "你好"})
    assert message.content == "The sound is ready."
    assert message.artifact == {"url": None, "base64": file}
    assert called(pipeline(SPEECH), {"input": "你好"}).content.startswith(
        "The sound is ready: http"
    )


def test_it_is_a_runnable_among_others(pipeline: MakeTool, service: LocalService) -> None:
    translate = pipeline("damo/nlp_csanmt_translation_zh2en")
    chain = RunnableLambda(str.strip) | translate | RunnableLambda(str.upper)
    assert chain.invoke("  你好 ") == "[TRANSLATED] 你好"
    assert chain.batch([" a ", " b "]) == ["[TRANSLATED] A", "[TRANSLATED] B"]


async def test_the_async_call_gives_the_same(pipeline: MakeTool) -> None:
    tool = pipeline(NAMES)
    assert await tool.ainvoke("We met Ann Lee.") == tool.invoke("We met Ann Lee.")
    assert (await tool.arun_pipeline("We met Ann Lee.")).output[0].type == "NAME"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_its_progress_is_seen_by_callbacks(pipeline: MakeTool, way: str) -> None:
    events = Events()
    if way == "invoke":
        pipeline().invoke({"input": "很好"}, {"callbacks": [events]})
    else:
        await pipeline().ainvoke({"input": "很好"}, {"callbacks": [events]})
    assert steps(events.seen) == [("started", None, None), ("finished", None, None)]
    assert {data["model"] for data in events.seen} == {MOOD}


def test_nothing_found_is_said(pipeline: MakeTool) -> None:
    assert pipeline(NAMES).invoke("nobody is here") == "Nothing was found."


def test_sounds_go_in_and_come_out(
    pipeline: MakeTool, service: LocalService, tmp_path: Path
) -> None:
    spoken = pipeline(SPEECH).run_pipeline("你好").output
    assert isinstance(spoken, Sound)
    path = tmp_path / "speech.wav"
    path.write_bytes(b"RIFF\x00\x00\x00\x00WAVEfmt ")
    assert "sound" in pipeline(LISTEN).run_pipeline(path).output
    assert service.requests[-1].body == {"input": "UklGRgAAAABXQVZFZm10IA=="}


def test_texts_are_compared(pipeline: MakeTool, service: LocalService) -> None:
    output = pipeline(EMBED).run_pipeline(["red fox", "red fox", "blue sea"]).output
    assert isinstance(output, Vectors)
    assert output.scores[0] > output.scores[1]
    assert service.requests[-1].body["input"]["source_sentence"] == ["red fox"]


def test_parameters_go_along(pipeline: MakeTool, service: LocalService) -> None:
    model = "damo/nlp_structbert_siamese-uie_chinese-base"
    pipeline(model, parameters={"schema": {"人物": None}}).invoke("Ann was here.")
    assert service.requests[-1].body["parameters"] == {"schema": {"人物": None}}


def test_an_agent_uses_it(pipeline: MakeTool, chat: Callable[..., ChatModelScope]) -> None:
    agent = create_agent(chat(), [pipeline("damo/nlp_csanmt_translation_zh2en")])
    told = agent.invoke({"messages": [("user", "Use translation for '你好'.")]})
    (message,) = [each for each in told["messages"] if isinstance(each, ToolMessage)]
    assert message.content == "[translated] 你好"


def test_an_address_that_is_gone_says_that_it_was_never_documented(pipeline: MakeTool) -> None:
    with pytest.raises(ModelScopeModelNotServedError, match="undocumented by the service"):
        pipeline("damo/nlp_gone_translation_xx").invoke("x")


def test_a_wrong_input_goes_back_to_the_caller(pipeline: MakeTool, service: LocalService) -> None:
    tool = pipeline()
    message = tool.invoke(
        {"type": "tool_call", "id": "1", "name": tool.name, "args": {"input": " "}}
    )
    assert message.status == "error"
    assert not service.requests


def test_an_unknown_task_is_refused_with_near_ones() -> None:
    with pytest.raises(ModelScopeConfigurationError, match="translation"):
        ModelScopePipelineTool(model="a/b", api_key="ms-x", task="translate")
