"""The task registry: its data, the words in model IDs, and who is told to use which class."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import ConfigurationError, UnsupportedTaskError
from modelscope_transport._wire.wires import wire_of
from modelscope_transport.catalogue.models import ModelProfile, known_models, profile_for
from modelscope_transport.catalogue.tasks import (
    TASKS,
    ChatTask,
    EmbeddingTask,
    ImageTask,
    PipelineTask,
    RerankTask,
    Task,
    check_task,
    known_task,
    task_in_id,
    task_named,
)

_DATE = re.compile(r"20\d\d(-\d\d(-\d\d)?)?")
EACH_TASK = pytest.mark.parametrize("row", TASKS.values(), ids=lambda row: row.name)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("chat", ChatTask),
        ("embedding", EmbeddingTask),
        ("image", ImageTask),
        ("rerank", RerankTask),
        ("pipeline", PipelineTask),
    ],
)
def test_type_checkers_are_told_the_names_of_the_rows(kind: str, names: Any) -> None:
    assert get_args(names) == tuple(row.name for row in TASKS.values() if row.kind == kind)


def tables() -> dict[str, dict[str, Any]]:
    package = resources.files("modelscope_transport")
    text = package.joinpath("data/tasks.toml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = tomllib.loads(text)["tasks"]
    return found


class TestData:
    @EACH_TASK
    def test_every_task_says_where_its_status_is_known_from_and_when(self, row: Task) -> None:
        assert row.source
        assert _DATE.fullmatch(row.checked)

    @EACH_TASK
    def test_every_task_is_carried_by_a_file_of_the_wire_room(self, row: Task) -> None:
        assert wire_of(row).PATH.startswith("/")
        assert callable(wire_of(row).prepare)

    @pytest.mark.parametrize("name", tables())
    def test_no_table_has_a_field_that_no_task_knows(self, name: str) -> None:
        # A misspelt field would be dropped in silence.
        known = {*Task.__struct_fields__, *TASKS[name].form.__struct_fields__, "like"}
        assert set(tables()[name]) <= known - {"name", "kind", "form"}

    def test_the_tasks_that_users_pick_are_there(self) -> None:
        kinds = {
            "chat": "chat",
            "text-generation": "chat",
            "image-text-to-text": "chat",
            "visual-question-answering": "chat",
            "sentence-embedding": "embedding",
            "feature-extraction": "embedding",
            "text-to-image-synthesis": "image",
            "image-to-image": "image",
            "text-ranking": "rerank",
            "text-classification": "pipeline",
            "sentiment-classification": "pipeline",
            "named-entity-recognition": "pipeline",
            "translation": "pipeline",
            "auto-speech-recognition": "pipeline",
            "text-to-speech": "pipeline",
        }
        assert {name: TASKS[name].kind for name in kinds} == kinds

    @pytest.mark.parametrize("model", known_models())
    def test_every_model_on_record_does_a_task_on_record(self, model: str) -> None:
        assert profile_for(model).task in TASKS

    def test_what_a_table_is_like_is_taken_over_but_for_its_words_in_ids(self) -> None:
        tagging, speech = TASKS["token-classification"], TASKS["part-of-speech"]
        assert speech.form == tagging.form == TASKS["named-entity-recognition"].form
        assert tagging.in_ids == ("tagging",)
        assert speech.in_ids == ()


class TestIds:
    @pytest.mark.parametrize(
        ("model", "task"),
        [
            (
                "damo/nlp_structbert_sentiment-classification_chinese-base",
                "sentiment-classification",
            ),
            (
                "damo/nlp_structbert_sentiment-classification_chinese-ecommerce-base",
                "sentiment-classification",
            ),
            (
                "damo/nlp_raner_named-entity-recognition_chinese-base-news",
                "named-entity-recognition",
            ),
            ("damo/nlp_csanmt_translation_zh2en", "translation"),
            ("damo/nlp_structbert_siamese-uie_chinese-base", "siamese-uie"),
            ("damo/mgeo_geographic_elements_tagging_chinese_base", "token-classification"),
            ("damo/nlp_corom_sentence-embedding_chinese-base", "classic-sentence-embedding"),
            ("damo/nlp_rom_passage-ranking_chinese-base", "classic-text-ranking"),
            ("iic/speech_sambert-hifigan_tts_zh-cn_16k", "text-to-speech"),
            (
                "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
                "auto-speech-recognition",
            ),
            ("iic/punc_ct-transformer_zh-cn-common-vocab272727-pytorch", "punctuation"),
            ("damo/multi-modal_mplug_owl_multimodal-dialogue_7b", "multimodal-dialogue"),
        ],
    )
    def test_the_words_of_a_classic_id_tell_the_task(self, model: str, task: str) -> None:
        row = task_in_id(model)
        assert row is TASKS[task]

    @pytest.mark.parametrize("model", known_models())
    def test_todays_ids_tell_none(self, model: str) -> None:
        assert task_in_id(model) is None

    @given(st.text(max_size=60))
    def test_any_text_is_read_without_harm(self, text: str) -> None:
        for model in (text, f"owner/{text}", f"damo/nlp_x_{text}"):
            row = task_in_id(model)
            assert row is None or row.name in TASKS

    @given(st.sampled_from(sorted(TASKS)), st.sampled_from(["nlp", "cv", "speech", "multi-modal"]))
    def test_a_tasks_own_name_in_an_id_tells_it(self, name: str, field: str) -> None:
        row = task_in_id(f"damo/{field}_model_{name}_chinese-base")
        # Two names stand for another row in IDs: the service's own address does not serve those.
        classic = {"sentence-embedding", "text-ranking"}
        assert row is TASKS[f"classic-{name}" if name in classic else name]


class TestChoice:
    def test_a_described_model_is_known_by_its_description(self) -> None:
        assert known_task(profile_for("Qwen/Qwen-Image")) is TASKS["text-to-image-synthesis"]

    def test_a_model_that_nobody_described_is_not_known(self) -> None:
        profile = ModelProfile(id="somebody/Brand-New")
        assert known_task(profile) is None
        assert check_task(profile, "image") is TASKS["image"]

    def test_a_model_of_another_kind_is_refused_with_the_class_that_serves_it(self) -> None:
        with pytest.raises(UnsupportedTaskError) as caught:
            check_task(profile_for("Qwen/Qwen3-Embedding-8B"), "chat")
        for name in ("ModelScopeEmbeddings", "ModelScopeEmbedding", "LangChain", "LlamaIndex"):
            assert name in str(caught.value)

    @pytest.mark.parametrize("wanted", ["chat", "embedding", "image", "rerank"])
    def test_a_reranker_is_refused_everywhere_with_what_to_do_instead(self, wanted: str) -> None:
        with pytest.raises(UnsupportedTaskError, match=r"does not offer .*ModelScopeRerank"):
            check_task(profile_for("Qwen/Qwen3-Reranker-8B"), wanted)

    def test_a_task_by_name_is_taken_for_a_model_of_its_kind(self) -> None:
        model = "damo/nlp_structbert_sentiment-classification_chinese-base"
        row = check_task(profile_for(model), "text-classification")
        assert row is TASKS["text-classification"]

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("text-to-image", "text-to-image-synthesis"),
            ("Sentiment-Classification", "sentiment-classification"),
            ("asr", "auto-speech-recognition"),
        ],
    )
    def test_an_unknown_task_is_answered_with_near_ones(self, name: str, near: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            task_named(name)
        assert near in str(caught.value)
