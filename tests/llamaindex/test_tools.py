"""`ModelScopeImageToolSpec` and `ModelScopePipelineToolSpec` on the local service."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock

from llamaindex_modelscope import (
    ModelScope,
    ModelScopeConfigurationError,
    ModelScopeContentRefusedError,
    ModelScopeImageToolSpec,
    ModelScopeInvalidRequestError,
    ModelScopeModelNotServedError,
    ModelScopePipelineToolSpec,
    ModelScopeQuotaExceededError,
    ModelScopeUnsupportedTaskError,
)
from llamaindex_modelscope.image_tool import Drawn
from modelscope_transport import Client, ImageRequest
from modelscope_transport.emulator import LocalService
from modelscope_transport.task_types import Label

PAINTER, EDITOR, SEER = "Qwen/Qwen-Image", "Qwen/Qwen-Image-Edit", "Qwen/Qwen3.5-122B-A10B"
MOOD = "damo/nlp_structbert_sentiment-classification_chinese-base"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
AS_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"

# LlamaIndex's workflows walk over attributes that pydantic calls deprecated.
in_an_agent = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MakeSpec = Callable[..., ModelScopeImageToolSpec]


@pytest.fixture
def draw(reach: dict[str, Any]) -> MakeSpec:
    def make(model: str = PAINTER, **fields: Any) -> ModelScopeImageToolSpec:
        quick = {"size": "96x64", "poll_interval": 0.01}
        return ModelScopeImageToolSpec(model, **(reach | quick | fields))

    return make


@pytest.fixture
def pipeline(reach: dict[str, Any]) -> Callable[..., ModelScopePipelineToolSpec]:
    def make(model: str = MOOD, **fields: Any) -> ModelScopePipelineToolSpec:
        return ModelScopePipelineToolSpec(model, **reach, **fields)

    return make


def submitted(service: LocalService) -> list[dict[str, Any]]:
    return [each.body for each in service.requests if each.path == "/v1/images/generations"]


# --- images by hand


def test_what_is_not_said_is_as_in_a_request() -> None:
    request = ImageRequest(model=PAINTER)
    taken = inspect.signature(ModelScopeImageToolSpec).parameters
    both = (taken.keys() & set(ImageRequest.__struct_fields__)) - {"model"}
    assert "poll_interval" in both
    for name in both:
        assert taken[name].default == getattr(request, name), name


def test_a_call_gives_the_address_and_the_image(draw: MakeSpec) -> None:
    (tool,) = draw().to_tool_list()
    output = tool.call(prompt="a red fox")

    assert output.content.startswith("The image is ready: http://127.0.0.1:")
    drawn = output.raw_output
    assert isinstance(drawn, Drawn)
    (image,) = drawn.images
    assert image.resolve_image().read().startswith(PNG[:8])
    assert image.image_mimetype == "image/png"
    assert drawn.addresses[0] in output.content


async def test_the_async_call_gives_the_same(draw: MakeSpec) -> None:
    (tool,) = draw(seed=7).to_tool_list()
    assert (await tool.acall(prompt="a red fox")).raw_output == tool.call(
        prompt="a red fox"
    ).raw_output


def test_the_tool_says_what_it_does_and_what_it_takes(draw: MakeSpec) -> None:
    (tool,) = draw(EDITOR).to_tool_list()
    assert tool.metadata.name == "draw_image"
    assert "edits images" in tool.metadata.description
    parameters = tool.metadata.get_parameters_dict()
    assert parameters["required"] == ["prompt"]
    assert set(parameters["properties"]) == {"prompt", "negative_prompt", "size", "seed", "images"}


def test_what_the_caller_says_wins_over_the_tools_own(
    draw: MakeSpec, service: LocalService
) -> None:
    spec = draw(
        negative_prompt="dogs",
        seed=1,
        steps=20,
        guidance=4,
        loras="a/lora",
        extra_body={"watermark": False},
    )
    spec.draw_image("a red fox", size="64x64", seed=2)
    assert submitted(service) == [
        {
            "model": PAINTER,
            "prompt": "a red fox",
            "negative_prompt": "dogs",
            "size": "64x64",
            "seed": 2,
            "steps": 20,
            "guidance": 4,
            "loras": "a/lora",
            "watermark": False,
        }
    ]


def test_images_are_taken_in_every_form(
    draw: MakeSpec, service: LocalService, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(PNG)
    forms: list[Any] = [path, PNG, ImageBlock(image=PNG), ImageBlock(path=path), AS_URL]
    for form in forms:
        draw(EDITOR).draw_image("bluer", images=[form])
    assert [body["image_url"] for body in submitted(service)] == [[AS_URL]] * len(forms)


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "x", "size": "9x9"},
        {"prompt": "x", "seed": -1},
        {"prompt": ""},
        {"prompt": "x", "images": ["/etc/passwd"]},
        {"prompt": "x", "images": [AS_URL]},
    ],
)
def test_what_is_out_of_range_is_refused_before_any_request(
    asked: dict[str, Any], draw: MakeSpec, service: LocalService
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError):
        draw().draw_image(**asked)
    assert not service.requests


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("task_refused", ModelScopeContentRefusedError),
        ("balance_spent_images", ModelScopeQuotaExceededError),
    ],
)
async def test_failures_are_this_packages_own(
    scenario: str, error: type[Exception], draw: MakeSpec, service: LocalService
) -> None:
    service.next(scenario)
    with pytest.raises(error):
        draw().draw_image("a red fox")
    if scenario == "task_refused":
        service.next(scenario)
    with pytest.raises(error):
        await draw().adraw_image("a red fox")


def test_a_chat_model_is_no_painter(draw: MakeSpec, service: LocalService) -> None:
    with pytest.raises(ModelScopeUnsupportedTaskError, match="ModelScope in LlamaIndex"):
        draw("Qwen/Qwen3-8B").draw_image("x")
    assert not service.requests


# --- images in an agent


@in_an_agent
async def test_an_agent_draws_and_a_model_that_sees_describes(
    draw: MakeSpec, make_llm: Callable[..., ModelScope]
) -> None:
    agent = FunctionAgent(llm=make_llm(), tools=draw().to_tool_list())
    running = agent.run("Draw an image of 'a green parrot'.")
    calls = [event async for event in running.stream_events() if isinstance(event, ToolCallResult)]
    answer = await running

    drawn = calls[0].tool_output.raw_output
    assert drawn.addresses[0] in str(answer)
    question = ChatMessage(blocks=[TextBlock(text="What is this?"), *drawn.images])
    seen = await make_llm(SEER, enable_thinking=False).achat([question])
    assert seen.message.content == "The picture shows: a green parrot"


@in_an_agent
async def test_an_agent_that_sees_draws_then_describes_by_itself(
    draw: MakeSpec, make_llm: Callable[..., ModelScope]
) -> None:
    tools = draw(shows_image=True).to_tool_list()
    agent = FunctionAgent(llm=make_llm(SEER, enable_thinking=False), tools=tools)
    answer = await agent.run("Draw an image of 'a green parrot', then describe it.")
    assert str(answer) == "The picture shows: a green parrot"


def test_a_client_can_be_shared(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url)
    spec = ModelScopeImageToolSpec(PAINTER, client=client, size="64x64", poll_interval=0.01)
    assert isinstance(spec.draw_image("x"), Drawn)


# --- classic pipelines


def test_the_task_comes_from_the_id_and_names_the_tool(
    pipeline: Callable[..., ModelScopePipelineToolSpec],
) -> None:
    (tool,) = pipeline().to_tool_list()
    assert tool.metadata.name == "sentiment_classification"
    assert "sentiment" in tool.metadata.description
    best, other = tool.call(input="我喜欢").raw_output
    assert isinstance(best, Label)
    assert (best.label, best.score > other.score) == ("正面", True)


async def test_the_async_call_of_a_pipeline_gives_the_same(
    pipeline: Callable[..., ModelScopePipelineToolSpec],
) -> None:
    spec = pipeline("damo/nlp_csanmt_translation_zh2en")
    assert await spec.arun_pipeline("你好") == spec.run_pipeline("你好") == "[translated] 你好"


@in_an_agent
async def test_an_agent_uses_a_pipeline(
    pipeline: Callable[..., ModelScopePipelineToolSpec], llm: ModelScope
) -> None:
    agent = FunctionAgent(
        llm=llm, tools=pipeline("damo/nlp_csanmt_translation_zh2en").to_tool_list()
    )
    assert "[translated] 你好" in str(await agent.run("Use translation for '你好'."))


def test_sounds_go_in_as_bytes(
    pipeline: Callable[..., ModelScopePipelineToolSpec], service: LocalService
) -> None:
    model = "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch"
    assert "sound" in pipeline(model).run_pipeline(b"RIFF\x00\x00\x00\x00WAVEfmt ")
    assert service.requests[0].body == {"input": "UklGRgAAAABXQVZFZm10IA=="}


def test_an_address_that_is_gone_says_that_it_was_never_documented(
    pipeline: Callable[..., ModelScopePipelineToolSpec],
) -> None:
    with pytest.raises(ModelScopeModelNotServedError, match="undocumented by the service"):
        pipeline("damo/nlp_gone_translation_xx").run_pipeline("x")


def test_an_unknown_task_is_refused_with_near_ones(reach: dict[str, Any]) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="translation"):
        ModelScopePipelineToolSpec("a/b", task="translate", **reach)
