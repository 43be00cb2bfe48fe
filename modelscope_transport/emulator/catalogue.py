"""The models the local service offers, and what each of them does differently.

A row says how a model *behaves on the wire*; nothing here is a promise about the live service,
whose list changes from week to week. Ids, tiers and kinds as recorded in public clients between
2026-07 and 2026-10; windows from ``anomalyco/models.dev`` (2026-07) where it has them. Which switch
a hybrid model obeys, and whether it must be streamed while it thinks, is known for few models: for
the others the row holds the likelier guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["chat", "embedding", "image", "pipeline"]
Tier = Literal["discount", "lite", "standard", "ultra"]
Thinking = Literal["none", "hybrid", "always"]
Switch = Literal["enable_thinking", "chat_template_kwargs"]

MAGICUBES: dict[str, float] = {"discount": 0.2, "lite": 0.5, "standard": 1, "ultra": 2}
"""What one call costs in each tier (``limits.md`` of the official documentation, 2026-08; the tier
``discount``: deductions of one author and a second client's fixture, 2026-10)."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the local service.

    Attributes:
        id: ``owner/name``, case-sensitive.
        kind: Which endpoint serves it.
        tier: What a call costs: 0.2, 0.5, 1 or 2 Magicubes.
        thinking: Whether it never thinks, thinks on request, or always thinks.
        thinking_default: What a hybrid model does when the request does not say.
        thinking_switch: The field that a hybrid model obeys; the other one is ignored.
        stream_to_think: A hybrid model that refuses to think in a call that is not streamed.
        stream_only: Refuses every call that is not streamed.
        json_schema: Takes ``response_format`` of type ``json_schema``; else it answers with an
            empty shell.
        forced_tools: Takes ``tool_choice`` ``required`` or named (while it is not thinking); else
            an empty shell.
        vision: Takes pictures.
        window: Prompt and answer together, in tokens.
        dimensions: Length of an embedding model's vectors.
        fixed_temperature: The only temperature it takes.
        tiny_max_tokens: With ``max_tokens`` at or below this it answers with an empty shell.
        listed: Appears in ``GET /v1/models``.
        edits: An image model that needs a picture to start from.
        references: Most pictures it starts from.
        sides: Shortest and longest side of the pictures it draws, in pixels.
        task: What a pipeline does, by ModelScope's name of the task.
    """

    id: str
    kind: Kind = "chat"
    tier: Tier = "standard"
    thinking: Thinking = "none"
    thinking_default: bool = True
    thinking_switch: Switch = "enable_thinking"
    stream_to_think: bool = False
    stream_only: bool = False
    json_schema: bool = True
    forced_tools: bool = True
    vision: bool = False
    window: int = 131_072
    dimensions: int = 0
    fixed_temperature: float | None = None
    tiny_max_tokens: int = 0
    listed: bool = True
    edits: bool = False
    references: int = 0
    sides: tuple[int, int] = (64, 2048)
    task: str = ""

    @property
    def hub_task(self) -> str:
        """The task that the hub gives the model."""
        chat = "image-text-to-text" if self.vision else "text-generation"
        image = "image-to-image" if self.edits else "text-to-image-synthesis"
        return self.task or {"embedding": "sentence-embedding", "image": image}.get(self.kind, chat)

    @property
    def cost(self) -> float:
        """Magicubes for one call."""
        return MAGICUBES[self.tier]


MODELS: tuple[Model, ...] = (
    Model("Qwen-Ambassador/Qwen3.7-Plus", tier="discount", listed=False),
    Model("Qwen/Qwen3-Coder-30B-A3B-Instruct", window=262_144),
    Model("Qwen/Qwen3-235B-A22B-Instruct-2507", window=262_144),
    Model("Qwen/Qwen3.5-122B-A10B", thinking="hybrid", vision=True, window=262_144),
    Model("Qwen/Qwen3.5-397B-A17B", tier="ultra", thinking="hybrid", vision=True, window=262_144),
    Model("Qwen/QwQ-32B", thinking="always", stream_only=True),
    Model(
        "Qwen/Qwen3-235B-A22B-Thinking-2507",
        thinking="always",
        stream_only=True,
        window=262_144,
    ),
    Model("Qwen/Qwen3-8B", thinking="hybrid", stream_to_think=True),
    Model("Qwen/Qwen3-32B", thinking="hybrid", stream_to_think=True),
    # json_schema gives an empty shell: modelscope/modelscope#1801 (2026-09-18)
    Model(
        "deepseek-ai/DeepSeek-V4.1-Flash",
        tier="ultra",
        thinking="hybrid",
        thinking_switch="chat_template_kwargs",
        json_schema=False,
        vision=True,
        window=1_000_000,
    ),
    Model("ZhipuAI/GLM-4.7-Flash", thinking="hybrid", window=202_752, tiny_max_tokens=5),
    Model(
        "moonshotai/Kimi-K2.5",
        tier="ultra",
        thinking="hybrid",
        thinking_default=False,
        thinking_switch="chat_template_kwargs",
        vision=True,
        window=262_144,
        fixed_temperature=1,
    ),
    Model("nex-agi/Nex-N2.5-mini", tier="lite"),
    Model(
        "Qwen/Qwen3-Embedding-0.6B",
        "embedding",
        "lite",
        dimensions=1024,
        window=32_768,
        listed=False,
    ),
    Model(
        "Qwen/Qwen3-Embedding-4B", "embedding", "lite", dimensions=2560, window=32_768, listed=False
    ),
    Model(
        "Qwen/Qwen3-Embedding-8B", "embedding", "lite", dimensions=4096, window=32_768, listed=False
    ),
    # sizes: official documentation, API-Inference introduction (2026-08-22)
    Model("Qwen/Qwen-Image", "image", "ultra", listed=False, sides=(64, 1664)),
    Model("Qwen/Qwen-Image-2.1", "image", "ultra", listed=False, sides=(64, 1664), references=4),
    Model("Qwen/Qwen-Image-Edit", "image", "ultra", sides=(64, 1664), edits=True, references=4),
    Model("Tongyi-MAI/Z-Image-Turbo", "image", listed=False, sides=(512, 2048)),
    # classic pipelines, as public clients used them until the middle of 2025
    *(
        Model(name, "pipeline", "lite", listed=False, task=task)
        for name, task in (
            (
                "damo/nlp_structbert_sentiment-classification_chinese-base",
                "sentiment-classification",
            ),
            (
                "damo/nlp_raner_named-entity-recognition_chinese-base-news",
                "named-entity-recognition",
            ),
            ("damo/nlp_structbert_siamese-uie_chinese-base", "siamese-uie"),
            ("damo/nlp_csanmt_translation_zh2en", "translation"),
            ("iic/nlp_csanmt_translation_en2zh", "translation"),
            ("damo/nlp_corom_sentence-embedding_chinese-base", "sentence-embedding"),
            ("iic/speech_sambert-hifigan_tts_zh-cn_16k", "text-to-speech"),
            (
                "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
                "auto-speech-recognition",
            ),
        )
    ),
)


def catalogue(extra: Iterable[Model] = ()) -> dict[str, Model]:
    """Return the rows by id; a row of ``extra`` takes the place of a built-in one."""
    return {model.id: model for model in (*MODELS, *extra)}
