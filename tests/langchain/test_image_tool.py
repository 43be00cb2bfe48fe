"""`ModelScopeImageTool` on the local service: by hand, in an agent, and where it says no."""

from __future__ import annotations

import asyncio
import base64
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeConfigurationError,
    ModelScopeContentRefusedError,
    ModelScopeError,
    ModelScopeImageTool,
    ModelScopeQuotaExceededError,
    ModelScopeToolError,
    ModelScopeUnsupportedTaskError,
)
from modelscope_transport import Client, ImageRequest
from modelscope_transport.emulator import LocalService
from tests.langchain.progress import Events, steps

PAINTER, EDITOR, SEER = "Qwen/Qwen-Image", "Qwen/Qwen-Image-Edit", "Qwen/Qwen3.5-122B-A10B"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
AS_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"

MakeTool = Callable[..., ModelScopeImageTool]


@pytest.fixture
def draw(service: LocalService) -> MakeTool:
    def make(model: str = PAINTER, **options: Any) -> ModelScopeImageTool:
        place = {"api_key": service.token, "base_url": service.base_url}
        quick = {"size": "96x64", "poll_interval": 0.01}
        return ModelScopeImageTool(model=model, **(place | quick | options))

    return make


def test_what_is_not_said_is_as_in_a_request() -> None:
    request, fields = ImageRequest(model=PAINTER), ModelScopeImageTool.model_fields
    both = (fields.keys() & set(ImageRequest.__struct_fields__)) - {"model"}
    assert "poll_interval" in both
    for name in both:
        said = fields[name].get_default(call_default_factory=True)
        assert said == getattr(request, name), name


def call(**arguments: Any) -> dict[str, Any]:
    asked = {"prompt": "a red fox", **arguments}
    return {"type": "tool_call", "id": "1", "name": "draw_image", "args": asked}


def submitted(service: LocalService) -> list[dict[str, Any]]:
    return [each.body for each in service.requests if each.path == "/v1/images/generations"]


class TestStandardUnit(ToolsUnitTests):
    @property
    def tool_constructor(self) -> type[ModelScopeImageTool]:
        return ModelScopeImageTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"model": PAINTER, "api_key": "ms-x"}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"prompt": "a red fox"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"MODELSCOPE_API_KEY": "ms-env"}, {"model": PAINTER}, {"model_name": PAINTER}


class TestStandardIntegration(ToolsIntegrationTests):
    @pytest.fixture
    def tool(self, draw: MakeTool) -> ModelScopeImageTool:
        return draw()

    @property
    def tool_constructor(self) -> type[ModelScopeImageTool]:
        return ModelScopeImageTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"prompt": "a red fox"}


# --- by hand


def test_a_call_gives_the_address_and_a_standard_image_block(draw: MakeTool) -> None:
    message = draw().invoke(call())

    assert isinstance(message, ToolMessage)
    assert message.status == "success"
    (block,) = message.artifact
    assert (block["type"], block["mime_type"]) == ("image", "image/png")
    assert base64.b64decode(block["base64"]).startswith(PNG[:8])
    assert block["extras"]["url"] in message.content


def test_a_plain_text_is_the_prompt(draw: MakeTool, service: LocalService) -> None:
    assert draw().invoke("a red fox").startswith("The image is ready: http")
    assert submitted(service)[0]["prompt"] == "a red fox"


async def test_the_async_call_gives_the_same(draw: MakeTool) -> None:
    tool = draw(seed=7)
    assert (await tool.ainvoke(call())).artifact == tool.invoke(call()).artifact


def test_what_the_caller_says_wins_over_the_tools_own(
    draw: MakeTool, service: LocalService
) -> None:
    tool = draw(
        negative_prompt="dogs",
        seed=1,
        steps=20,
        guidance=4,
        loras={"a/one": 0.5, "b/two": 0.5},
        extra_body={"watermark": False},
    )
    tool.invoke(call(size="64x64", seed=2))
    assert submitted(service) == [
        {
            "model": PAINTER,
            "prompt": "a red fox",
            "negative_prompt": "dogs",
            "size": "64x64",
            "seed": 2,
            "steps": 20,
            "guidance": 4,
            "loras": {"a/one": 0.5, "b/two": 0.5},
            "watermark": False,
        }
    ]


def test_images_are_taken_in_every_form(
    draw: MakeTool, service: LocalService, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(PNG)
    in_base64 = base64.b64encode(PNG).decode()
    forms: list[Any] = [
        path,
        PNG,
        {"type": "image", "base64": in_base64, "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": in_base64, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": AS_URL}},
        {"type": "image", "url": AS_URL},
        AS_URL,
    ]
    for form in forms:
        draw(EDITOR).invoke(call(images=[form]))
    assert [body["image_url"] for body in submitted(service)] == [[AS_URL]] * len(forms)


def test_the_image_that_was_drawn_can_be_edited(draw: MakeTool, service: LocalService) -> None:
    (block,) = draw().invoke(call()).artifact
    message = draw(EDITOR).invoke(call(prompt="bluer", images=[block]))
    assert message.status == "success"
    assert submitted(service)[1]["image_url"][0].endswith(block["base64"])


# --- what the calling model can put right, and what it cannot


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": "9x9"},
        {"seed": -1},
        {"prompt": " "},
        {"images": ["/etc/passwd"]},
        {"images": ["file:///etc/passwd"]},
        {"images": [AS_URL]},  # this model edits nothing
    ],
)
def test_a_mistake_of_the_caller_goes_back_to_it(
    arguments: dict[str, Any], draw: MakeTool, service: LocalService
) -> None:
    message = draw().invoke(call(**arguments))
    assert message.status == "error"
    assert message.content.endswith(".")
    assert not service.requests


def test_a_refused_wording_goes_back_too(draw: MakeTool, service: LocalService) -> None:
    service.next("task_refused")
    message = draw().invoke(call())
    assert message.status == "error"
    assert "content check" in message.content


def test_or_it_is_raised(draw: MakeTool, service: LocalService) -> None:
    tool = draw(handle_tool_error=False)
    with pytest.raises(ModelScopeToolError, match="size"):
        tool.invoke(call(size="9x9"))
    service.next("task_refused")
    with pytest.raises(ModelScopeToolError) as caught:
        tool.invoke(call())
    assert isinstance(caught.value.__cause__, ModelScopeContentRefusedError)
    assert caught.value.details.task_id


@pytest.mark.parametrize(
    ("scenario", "error"),
    [("balance_spent_images", ModelScopeQuotaExceededError), ("task_busy", ModelScopeError)],
)
def test_what_the_caller_cannot_change_is_raised(
    scenario: str, error: type[Exception], draw: MakeTool, service: LocalService
) -> None:
    service.next(scenario)
    with pytest.raises(error):
        draw().invoke(call())


def test_a_chat_model_is_no_painter(draw: MakeTool, service: LocalService) -> None:
    with pytest.raises(ModelScopeUnsupportedTaskError, match="ChatModelScope"):
        draw("Qwen/Qwen3-8B").invoke(call())
    assert not service.requests


# --- in an agent


def test_an_agent_draws_and_a_model_that_sees_describes(
    draw: MakeTool, chat: Callable[..., ChatModelScope]
) -> None:
    agent = create_agent(chat(), [draw()])
    told = agent.invoke({"messages": [("user", "Draw an image of 'a green parrot'.")]})
    (drawn,) = [each for each in told["messages"] if isinstance(each, ToolMessage)]
    assert drawn.artifact[0]["extras"]["url"] in told["messages"][-1].text

    question = HumanMessage([{"type": "text", "text": "What is this?"}, *drawn.artifact])
    answer = chat(SEER, enable_thinking=False).invoke([question])
    assert answer.text == "The picture shows: a green parrot"


def test_an_agent_that_sees_draws_then_describes_by_itself(
    draw: MakeTool, chat: Callable[..., ChatModelScope]
) -> None:
    agent = create_agent(chat(SEER, enable_thinking=False), [draw(shows_image=True)])
    told = agent.invoke({"messages": [("user", "Draw an image of 'a green parrot', describe it.")]})
    assert told["messages"][-1].text == "The picture shows: a green parrot"


async def test_agents_at_the_same_time_draw_one_after_the_other(
    chat: Callable[..., ChatModelScope],
) -> None:
    with LocalService(allowance="concurrency=1") as service:
        reach = {"api_key": service.token, "base_url": service.base_url}
        tool = ModelScopeImageTool(
            model=PAINTER, size="64x64", poll_interval=0.01, max_retries=0, **reach
        )
        messages = await asyncio.gather(*(tool.ainvoke(call(seed=seed)) for seed in range(3)))
    assert [message.status for message in messages] == ["success"] * 3


# --- citizenship


def test_the_description_names_the_work_and_the_model(draw: MakeTool) -> None:
    assert PAINTER in draw().description
    assert "edits images" in draw(EDITOR).description
    assert draw(description="Mine.").description == "Mine."


def test_the_model_is_told_that_an_image_is_an_address(draw: MakeTool) -> None:
    schema = draw().tool_call_schema.model_json_schema()  # type: ignore[union-attr]
    assert schema["required"] == ["prompt"]
    items = schema["properties"]["images"]["anyOf"][0]["items"]
    assert items == {"type": "string", "description": "https address of an image"}


def test_the_token_stays_out_of_sight_and_out_of_pickles(
    canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = ModelScopeImageTool(model=PAINTER, api_key=canary)
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-of-the-reader")
    pickled = pickle.dumps(tool)
    assert canary.encode() not in pickled
    assert canary not in repr(tool)
    assert pickle.loads(pickled).model == PAINTER


def test_a_client_can_be_shared(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url)
    tool = ModelScopeImageTool(model=PAINTER, client=client, size="64x64", poll_interval=0.01)
    assert tool.invoke(call()).status == "success"


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(ModelScopeConfigurationError, match=r"guidence=. Did you mean guidance="):
        ModelScopeImageTool(model=PAINTER, api_key="ms-x", guidence=3)


STEPS = [
    ("started", None, None),
    ("waiting", 0, ""),  # the task was accepted
    ("waiting", 1, "PROCESSING"),
    ("waiting", 2, "PROCESSING"),
    ("waiting", 3, "SUCCEED"),  # the image is fetched
    ("finished", None, None),
]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_its_progress_is_seen_by_callbacks(
    draw: MakeTool, service: LocalService, way: str
) -> None:
    events = Events()
    service.next("task_slow:2")
    if way == "invoke":
        draw().invoke({"prompt": "a cat"}, {"callbacks": [events]})
    else:
        await draw().ainvoke({"prompt": "a cat"}, {"callbacks": [events]})
    assert steps(events.seen) == STEPS
    assert {data["model"] for data in events.seen} == {PAINTER}
    assert len({data["task_id"] for data in events.seen[1:-1]}) == 1


async def test_its_progress_is_in_the_stream_of_events(
    draw: MakeTool, service: LocalService
) -> None:
    service.next("task_slow:2")
    stream = draw().astream_events({"prompt": "a cat"}, version="v2")
    seen = [event["data"] async for event in stream if event["event"] == "on_custom_event"]
    assert steps(seen) == STEPS
