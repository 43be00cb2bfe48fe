"""`ModelScopeImageToolSpec`: a tool that draws and edits images.

Laws of this file: a model that calls a tool writes text, and text is never a file of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from llama_index.core.base.llms.types import ChatMessage, ContentBlock, ImageBlock, TextBlock
from llama_index.core.tools.function_tool import FunctionTool
from llama_index.core.tools.tool_spec.base import SPEC_FUNCTION_TYPE, BaseToolSpec
from llama_index.core.tools.types import ToolMetadata
from pydantic import BaseModel, Field, SecretStr

from modelscope_transport.catalogue import TASKS, known_task
from modelscope_transport.client import Client
from modelscope_transport.language import translated as _
from modelscope_transport.media import MediaSource, media_url
from modelscope_transport.quota import Quota
from modelscope_transport.secret import Secret
from modelscope_transport.task_types import Image, ImageRequest, ImageResult, TaskProgress
from modelscope_transport.types import ImagePart

from ._arguments import several
from ._connected import client_for, hidden, hidden_in, quota_of
from ._convert import to_messages
from ._progress import reported
from .errors import native_errors

__all__ = ["Drawn", "ModelScopeImageToolSpec"]


class Drawn(BaseModel):
    """What a call of the image tool gave; as text, the images' addresses.

    In an agent it is the ``tool_output.raw_output`` of the call's event.
    """

    images: list[ImageBlock]
    addresses: list[str]

    def __str__(self) -> str:
        """What the calling model reads."""
        return _("The image is ready: {addresses}").format(addresses=" ".join(self.addresses))


class DrawImage(BaseModel):
    """What the calling model may say."""

    prompt: str = Field(description="What the image shows, in detail. English works best.")
    negative_prompt: str | None = Field(default=None, description="What it must not show.")
    size: str | None = Field(
        default=None, description="Width and height in pixels, such as 1024x1024."
    )
    seed: int | None = Field(default=None, description="The same seed draws the same again.")
    images: list[str] | None = Field(
        default=None, description="Images to start from or to change: their addresses, up to four."
    )


class ModelScopeImageToolSpec(BaseToolSpec):
    """Draws an image, or changes some, with an image model of ModelScope API-Inference.

    An image costs one call; the account's images are made one at a time. A
    `ModelScopeProgressEvent` of LlamaIndex's instrumentation marks its start, each look at the
    task, and its end.

    Args:
        model: model ID, ``owner/name``.
        size: width and height in pixels, ``"1024x1024"``, unless the caller says otherwise.
        negative_prompt: what no image may show, unless the caller says otherwise.
        seed: 0 to 2147483647.
        steps: sampling steps, 1 to 100.
        guidance: how closely to follow the prompt, 1.5 to 20.
        loras: model ID of a LoRA, or up to six IDs with their weights, which sum to 1.
        shows_image: whether the calling model gets to see the image, not its address alone: for
            models that see.
        poll_interval: seconds until the first look at a task; the wait grows up to five seconds.
        timeout: total deadline of an image in seconds.
        fallback_models: models to ask when this one's allowance is spent or it was withdrawn.
        extra_body: further fields of every request's body.
        client: a `modelscope_transport.Client` to share with others, instead of what follows.
        api_key: access token; else ``MODELSCOPE_API_KEY`` and its kin from the environment.
        settings: further arguments of `modelscope_transport.Client`, such as ``base_url``.

    Raises:
        ModelScopeConfigurationError: no token, a bad address.

    Examples:
        `pip install "modelscope-adapters[llamaindex]"`

        ```python
        from llamaindex_modelscope import ModelScopeImageToolSpec

        images = ModelScopeImageToolSpec(model="Qwen/Qwen-Image", size="1024x1024")
        print(images.draw_image("A cat asleep on a bookshelf."))
        tools = images.to_tool_list()  # for an agent
        ```
    """

    def __init__(
        self,
        model: str,
        *,
        size: str | None = None,
        negative_prompt: str | None = None,
        seed: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        loras: str | dict[str, float] | None = None,
        shows_image: bool = False,
        poll_interval: float = 1.0,
        timeout: float | None = None,
        fallback_models: Sequence[str] = (),
        extra_body: dict[str, Any] | None = None,
        client: Client | None = None,
        api_key: str | SecretStr | Secret | None = None,
        **settings: Any,
    ) -> None:
        # a traceback shows local variables
        api_key, settings = hidden(api_key), hidden_in(settings)
        with native_errors():
            self._client = client_for(client, api_key=api_key, timeout=timeout, **settings)
        self.spec_functions = [("draw_image", "adraw_image")]
        self.model = model
        self.shows_image = shows_image
        self._request = ImageRequest(
            model=model,
            size=size,
            negative_prompt=negative_prompt,
            seed=seed,
            steps=steps,
            guidance=guidance,
            loras=loras,
            poll_interval=poll_interval,
            timeout=timeout,
            fallback_models=several(fallback_models),
            extra_body=extra_body,
        )

    @property
    def quota(self) -> Quota:
        """The pool that decides about this model's calls today, as `ModelScope.quota`."""
        return quota_of(self._client, self.model)

    def to_tool_list(
        self,
        spec_functions: list[SPEC_FUNCTION_TYPE] | None = None,
        func_to_metadata_mapping: dict[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """The tool, for an agent."""
        row = known_task(self._client.profile(self.model)) or TASKS["image"]
        told = (
            f"A tool that {row.does} with the model {self.model}. "
            "It returns the address of the new image."
        )
        metadata = ToolMetadata(name="draw_image", description=told, fn_schema=DrawImage)
        return super().to_tool_list(
            spec_functions, {"draw_image": metadata, **(func_to_metadata_mapping or {})}
        )

    def draw_image(
        self,
        prompt: str,
        negative_prompt: str | None = None,
        size: str | None = None,
        seed: int | None = None,
        images: Sequence[MediaSource | ImageBlock] | None = None,
    ) -> Drawn | list[ContentBlock]:
        """Draw an image, or change those that are given.

        Args:
            prompt: what it shows.
            negative_prompt: what it must not show.
            size: width and height in pixels.
            seed: the same seed draws the same again.
            images: up to four to start from: addresses, paths, bytes or image blocks.

        Raises:
            ModelScopeError: one of the classes in `llamaindex_modelscope.errors`.
        """
        with native_errors():
            request = self._asked(prompt, negative_prompt, size, seed, images)
            with reported("draw_image", self.model) as waiting:
                result = self._client.draw(request, on_progress=waiting)
            return self._told(result)

    async def adraw_image(
        self,
        prompt: str,
        negative_prompt: str | None = None,
        size: str | None = None,
        seed: int | None = None,
        images: Sequence[MediaSource | ImageBlock] | None = None,
    ) -> Drawn | list[ContentBlock]:
        """As `draw_image`."""
        with native_errors():
            request = self._asked(prompt, negative_prompt, size, seed, images)
            with reported("draw_image", self.model) as waiting:

                async def awaited(progress: TaskProgress) -> None:
                    waiting(progress)

                result = await self._client.aio.draw(request, on_progress=awaited)
            return self._told(result)

    def _asked(
        self,
        prompt: str,
        negative_prompt: str | None,
        size: str | None,
        seed: int | None,
        images: Sequence[MediaSource | ImageBlock] | None,
    ) -> ImageRequest:
        asked = {"negative_prompt": negative_prompt, "size": size, "seed": seed}
        return msgspec.structs.replace(
            self._request,
            prompt=prompt,
            images=tuple([_address(image) for image in images or ()]),
            **{name: value for name, value in asked.items() if value is not None},
        )

    def _told(self, result: ImageResult) -> Drawn | list[ContentBlock]:
        addresses = [image.url for image in result.images]
        drawn = Drawn(images=[_block(image) for image in result.images], addresses=addresses)
        if not self.shows_image:
            return drawn
        # By its address: the file itself would weigh on every later call of the conversation.
        return [TextBlock(text=str(drawn)), *(ImageBlock(url=url) for url in addresses)]


def _address(image: MediaSource | ImageBlock) -> str:
    """An image in any of LlamaIndex's forms, a file or its bytes, as an address."""
    if not isinstance(image, ImageBlock):
        return media_url(image)
    content = to_messages([ChatMessage(blocks=[image])])[0].content
    part = content[0]
    assert isinstance(part, ImagePart)
    return part.url


def _block(image: Image) -> ImageBlock:
    return ImageBlock(image=image.data, image_mimetype=image.media_type)
