"""Frozen values of the tasks beyond chat and embeddings.

Laws of this file: as `modelscope_transport.types`: values only.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from .answers import Origin, Usage
from .types import RequestBase

__all__ = [
    "Entity",
    "Image",
    "ImageRequest",
    "ImageResult",
    "Label",
    "PipelineRequest",
    "PipelineResult",
    "Rank",
    "RerankRequest",
    "RerankResult",
    "Sound",
    "TaskProgress",
    "Vectors",
]

# --- images -----------------------------------------------------------------------------------


class ImageRequest(RequestBase, frozen=True, kw_only=True):
    """One image to draw, or to edit. ``None`` leaves a parameter to the service's own default.

    The ranges are those of the official documentation (API-Inference introduction, 2026-08-22).
    Beside these it has the attributes of `RequestBase`; ``timeout`` is until the images are here.

    Attributes:
        prompt: what to draw; below 2000 characters.
        negative_prompt: what not to draw; below 2000 characters.
        size: width and height in pixels, ``"1024x1024"``; how small and large is the model's.
        seed: 0 to 2147483647; the same seed draws the same again.
        steps: sampling steps, 1 to 100.
        guidance: how closely to follow the prompt, 1.5 to 20.
        images: images to start from, ``http``, ``https`` or ``data:`` addresses; at most four
            (`modelscope_transport.media.media_url` makes one of a file or of bytes).
        loras: model ID of a LoRA, or IDs with their weights: at most six, which sum to 1.
        extra_body: further fields of the request, merged in last, unchecked.
        task_id: a task that was begun before: it is looked after instead of a new one.
        poll_interval: seconds until the first look at the task, above 0; the wait grows by half
            each time, up to five seconds or ``poll_interval``, whichever is longer.
        download: whether to fetch the images, or to give their addresses only.
    """

    prompt: str = ""
    negative_prompt: str | None = None
    size: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    images: tuple[str, ...] = ()
    loras: str | Mapping[str, float] | None = None
    extra_body: Mapping[str, Any] | None = None
    task_id: str | None = None
    poll_interval: float = 1.0
    download: bool = True


class Image(Struct, frozen=True):
    """One image.

    Attributes:
        url: where it was; for how long is not on record.
        data: the file, or ``None`` where it was not fetched.
        media_type: ``"image/png"`` and the like, by its first bytes; ``None`` if not fetched.
    """

    url: str
    data: bytes | None = None
    media_type: str | None = None

    @property
    def base64(self) -> str:
        """The file in base64; empty where it was not fetched."""
        return base64.b64encode(self.data or b"").decode("ascii")

    @property
    def data_url(self) -> str:
        """The file as a ``data:`` address, or its own address where it was not fetched."""
        return self.url if self.data is None else f"data:{self.media_type};base64,{self.base64}"

    def __repr__(self) -> str:
        """Say what it is; a file has too many bytes to be shown."""
        if self.data is None:
            return f"Image(url={self.url!r})"
        return f"<Image {self.media_type}, {len(self.data)} bytes>"

    def _repr_png_(self) -> bytes | None:
        """The image itself, for notebooks; ``None`` where it is no PNG."""
        return self.data if self.media_type == "image/png" else None

    def _repr_jpeg_(self) -> bytes | None:
        """The image itself, for notebooks; ``None`` where it is no JPEG."""
        return self.data if self.media_type == "image/jpeg" else None

    def _repr_html_(self) -> str | None:
        """An image of another kind or at its own address; pages that clean HTML drop this one."""
        return None if self._repr_png_() or self._repr_jpeg_() else self._tag

    @property
    def _tag(self) -> str:
        return f'<img src="{html.escape(self.data_url)}" style="max-width:100%" alt="">'


class ImageResult(Struct, frozen=True):
    """The images of one task, at least one."""

    images: tuple[Image, ...]
    task_id: str
    origin: Origin | None = None

    @property
    def image(self) -> Image:
        """The first image."""
        return self.images[0]

    def _repr_png_(self) -> bytes | None:
        """The image of a task that has made one, for notebooks."""
        return self.image._repr_png_() if len(self.images) == 1 else None

    def _repr_jpeg_(self) -> bytes | None:
        """The same, of a JPEG."""
        return self.image._repr_jpeg_() if len(self.images) == 1 else None

    def _repr_html_(self) -> str | None:
        """Several images side by side, for notebooks."""
        if len(self.images) == 1:
            return self.image._repr_html_()
        return "".join(image._tag for image in self.images)


class TaskProgress(Struct, frozen=True):
    """How far a task is that was submitted and is looked after.

    Attributes:
        task_id: the service's ID of the task.
        looks: how often the service was asked after it.
        status: the service's last word about it, such as ``"PROCESSING"`` or ``"SUCCEED"``; empty
            before the first look.
    """

    task_id: str
    looks: int
    status: str


# --- classic pipelines ------------------------------------------------------------------------


class PipelineRequest(RequestBase, frozen=True, kw_only=True):
    """One call of a classic pipeline.

    Beside these it has the attributes of `RequestBase`.

    Attributes:
        task: name of its task in ``data/tasks.toml``; says what goes in and what comes out.
        input: what the task takes: a text; a mapping of ``source_sentence`` and
            ``sentences_to_compare``; two texts; the address of a sound or image; or any JSON.
        parameters: the pipeline's own parameters, for instance ``{"schema": …}``.
        extra_body: further fields of the request, merged in last.
    """

    task: str
    input: Any
    parameters: Mapping[str, Any] | None = None
    extra_body: Mapping[str, Any] | None = None


class Label(Struct, frozen=True):
    """A class that something belongs to, and how surely, 0 to 1."""

    label: str
    score: float


class Entity(Struct, frozen=True):
    """A part of a text: its type, its words, and where it stands, in characters."""

    type: str
    span: str
    start: int | None = None
    end: int | None = None


class Sound(Struct, frozen=True):
    """A sound: its address, or the file itself in base64."""

    url: str | None = None
    base64: str | None = None


class Vectors(Struct, frozen=True):
    """Vectors of texts, and how close each compared text is to the source."""

    vectors: tuple[list[float], ...]
    scores: tuple[float, ...] = ()


class PipelineResult(Struct, frozen=True):
    """The answer of a classic pipeline.

    Attributes:
        output: what the task gives: a text, a tuple of `Label` or `Entity` or of scores, `Vectors`,
            a `Sound`, or plain JSON.
        data: the whole answer, as it came.
        origin: where it came from.
    """

    output: Any
    data: Mapping[str, Any]
    origin: Origin | None = None


# --- ranking ----------------------------------------------------------------------------------


class RerankRequest(RequestBase, frozen=True, kw_only=True):
    """Texts to put in order.

    Beside these it has the attributes of `RequestBase`; ``model`` is a chat model, which is asked
    once, or a reranker, where the service offers them.

    Attributes:
        query: what the texts are to answer.
        documents: the texts, best guess first.
        top_n: how many to give back; all by default.
        max_documents: how many of the texts are looked at; the others keep their order behind.
        max_characters: how much of each text is looked at.
        extra_body: further fields of the request, merged in last.
    """

    query: str
    documents: tuple[str, ...]
    top_n: int | None = None
    max_documents: int = 20
    max_characters: int = 2000
    extra_body: Mapping[str, Any] | None = None


class Rank(Struct, frozen=True):
    """A text's place: its index among those that were given, and its score, 0 to 1."""

    index: int
    score: float


class RerankResult(Struct, frozen=True):
    """Texts in order, best first.

    Attributes:
        ranks: which texts.
        ordered: whether the model's answer could be used; if not, the order is the given one.
        usage: token usage of the call.
        origin: where the order came from.
    """

    ranks: tuple[Rank, ...]
    ordered: bool = True
    usage: Usage | None = None
    origin: Origin | None = None
