"""`ModelScopeImageTool`: draws and edits images.

Laws of this file: a model that calls a tool writes text, and text is never a file of this machine.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool
from langchain_core.tools.base import ArgsSchema
from pydantic import BaseModel, Field, SkipValidation, WithJsonSchema, model_validator

from modelscope_transport.catalogue import TASKS, known_task
from modelscope_transport.errors import InvalidRequestError
from modelscope_transport.language import translated as _
from modelscope_transport.media import media_url
from modelscope_transport.task_types import Image, ImageRequest, ImageResult
from modelscope_transport.types import ImagePart

from ._connection import Connection
from ._messages import to_messages
from ._tool_calls import areport, report, tool_errors

__all__ = ["ModelScopeImageTool"]

_Source = Annotated[
    Any,
    WithJsonSchema({"type": "string", "description": "https address of an image"}),
]


class DrawImage(BaseModel):
    """What the calling model may say."""

    prompt: str = Field(description="What the image shows, in detail. English works best.")
    negative_prompt: str | None = Field(default=None, description="What it must not show.")
    size: str | None = Field(
        default=None, description="Width and height in pixels, such as 1024x1024."
    )
    seed: int | None = Field(default=None, description="The same seed draws the same again.")
    images: list[_Source] | None = Field(
        default=None, description="Images to start from or to change: their addresses, up to four."
    )


class ModelScopeImageTool(BaseTool, Connection):
    """Draws an image, or changes some, with an image model of ModelScope API-Inference.

    ``invoke`` returns the address of the image in a sentence; called by an agent, or with a
    ``ToolCall``, it returns a ``ToolMessage`` whose ``artifact`` holds the images as standard
    content blocks, ready for a message to a model that sees. An image costs one call; the account's
    images are made one at a time. Custom events ``modelscope_progress`` say how far it is: their
    ``state`` is ``"started"``, ``"waiting"`` with ``task_id``, ``looks`` and the service's
    ``status`` each time the task is looked after, and ``"finished"``.

    Example:
        >>> draw = ModelScopeImageTool(model="Qwen/Qwen-Image", size="1328x1328")
        >>> agent = create_agent(model, [draw])
    """

    name: str = "draw_image"
    description: str = ""
    args_schema: Annotated[ArgsSchema | None, SkipValidation()] = DrawImage
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: Any = True

    __repr_args__ = Connection.__repr_args__

    size: str | None = None
    """Width and height in pixels, ``"1024x1024"``, unless the caller says otherwise."""

    negative_prompt: str | None = None
    """What no image may show, unless the caller says otherwise."""

    seed: int | None = None
    """0 to 2147483647."""

    steps: int | None = None
    """Sampling steps, 1 to 100."""

    guidance: float | None = None
    """How closely to follow the prompt, 1.5 to 20."""

    loras: str | dict[str, float] | None = None
    """Model ID of a LoRA, or up to six IDs with their weights, which sum to 1."""

    shows_image: bool = False
    """Whether the calling model gets to see the image, not its address alone: for models that see.
    """

    poll_interval: float = 1.0
    """Seconds until the first look at a task; the wait grows up to five seconds."""

    @model_validator(mode="after")
    def _describe(self) -> Self:
        if not self.description:
            row = known_task(self._client.profile(self.model_name))
            does = (row or TASKS["image"]).does
            self.description = (
                f"A tool that {does} with the model {self.model_name}. "
                "It returns the address of the new image."
            )
        return self

    def _request(self, prompt: str, given: Mapping[str, Any]) -> ImageRequest:
        chosen = {name: value for name, value in given.items() if value is not None}
        images = chosen.pop("images", ())
        own = {name: getattr(self, name) for name in _DRAWING}
        return ImageRequest(
            **{**own, **chosen},
            model=self.model_name,
            prompt=prompt,
            images=tuple([_address(image) for image in images]),
            extra_body=self.extra_body,
            extra_headers=self.default_headers,
            timeout=self.timeout,
            fallback_models=tuple(self.fallback_models),
        )

    def _run(
        self, prompt: str, run_manager: CallbackManagerForToolRun | None = None, **given: Any
    ) -> tuple[str | list[dict[str, Any]], list[dict[str, Any]]]:
        with tool_errors():
            request = self._request(prompt, given)
            report(run_manager, "started", request.model)
            waiting = functools.partial(report, run_manager, "waiting", request.model)
            result = self._client.draw(request, on_progress=waiting)
            report(run_manager, "finished", request.model)
            return self._told(result)

    async def _arun(
        self, prompt: str, run_manager: AsyncCallbackManagerForToolRun | None = None, **given: Any
    ) -> tuple[str | list[dict[str, Any]], list[dict[str, Any]]]:
        with tool_errors():
            request = self._request(prompt, given)
            await areport(run_manager, "started", request.model)
            waiting = functools.partial(areport, run_manager, "waiting", request.model)
            result = await self._client.aio.draw(request, on_progress=waiting)
            await areport(run_manager, "finished", request.model)
            return self._told(result)

    def _told(self, result: ImageResult) -> tuple[str | list[dict[str, Any]], list[dict[str, Any]]]:
        blocks = [_block(image) for image in result.images]
        text = _("The image is ready: {addresses}").format(
            addresses=" ".join(image.url for image in result.images)
        )
        if not self.shows_image:
            return text, blocks
        # By its address: the file itself would weigh on every later call of the conversation.
        shown = [{"type": "image", "url": image.url} for image in result.images]
        return [{"type": "text", "text": text}, *shown], blocks


_DRAWING = (
    "size",
    "negative_prompt",
    "seed",
    "steps",
    "guidance",
    "loras",
    "poll_interval",
)


def _address(image: Any) -> str:
    """An image in any of LangChain's dialects, a file or its bytes, as an address."""
    if not isinstance(image, dict):
        return media_url(image)
    content = to_messages([HumanMessage(content=[image])])[0].content
    part = content[0] if isinstance(content, tuple) else None
    if not isinstance(part, ImagePart):
        raise InvalidRequestError(
            _("A block of type {get!r} is not an image.").format(get=image.get("type"))
        )
    return part.url


def _block(image: Image) -> dict[str, Any]:
    """A standard image block: the file, and where it was."""
    return {
        "type": "image",
        "base64": image.base64,
        "mime_type": image.media_type,
        "extras": {"url": image.url},
    }
