"""What is known of models: the data itself, the look-up, the suggestions, what refusals teach."""

from __future__ import annotations

import math
import re
import tomllib
from importlib import resources
from typing import Any

import pytest

from modelscope_transport.catalogue.models import (
    ModelProfile,
    ProfileBook,
    known_models,
    near_names,
    profile_for,
)
from modelscope_transport.quota.allowance import quota_rules
from tests.forks import forking, in_a_fork

_DATE = re.compile(r"20\d\d(-\d\d(-\d\d)?)?")


def _data() -> dict[str, Any]:
    package = resources.files("modelscope_transport")
    return tomllib.loads(package.joinpath("data/models.toml").read_text(encoding="utf-8"))


class TestData:
    @pytest.mark.parametrize("model", known_models())
    def test_every_model_has_a_profile_with_a_source_and_a_date(self, model: str) -> None:
        profile = profile_for(model)
        assert profile.id == model
        assert profile.source
        assert _DATE.fullmatch(profile.checked or "")

    @pytest.mark.parametrize("family", _data()["families"], ids=lambda family: family["pattern"])
    def test_every_family_has_a_source_and_a_date(self, family: dict[str, Any]) -> None:
        assert family["source"]
        assert _DATE.fullmatch(family["checked"])

    @pytest.mark.parametrize("table", ["families", "models"])
    def test_no_fact_has_a_name_that_no_profile_knows(self, table: str) -> None:
        # A misspelt field would be dropped in silence.
        tables = _data()[table]
        facts = tables.values() if isinstance(tables, dict) else tables
        names = {name for fact in facts for name in fact} - {"pattern"}
        assert names <= set(ModelProfile.__struct_fields__) - {"id"}

    def test_tables_are_sorted_by_owner_then_name(self) -> None:
        ids = list(_data()["models"])
        assert ids == sorted(ids, key=lambda model: model.casefold().split("/"))

    def test_lengths_in_tokens_are_round_and_an_answer_fits_its_window(self) -> None:
        # What slips in typing is neither thousands nor a multiple of 1024.
        for model in known_models():
            profile = profile_for(model)
            for length in filter(None, (profile.context_window, profile.max_output_tokens)):
                assert 0 in (length % 1000, length % 1024), model
            window = profile.context_window or math.inf
            assert (profile.max_output_tokens or 0) <= window, model

    def test_an_image_has_sides_that_models_draw(self) -> None:
        for model in known_models():
            shortest, longest = profile_for(model).image_sides or (0, 0)
            assert shortest % 64 == longest % 64 == 0, model
            assert shortest <= longest, model

    def test_a_message_holds_what_a_model_reads_at_all(self) -> None:
        known = {"text", "image", "video", "audio"}
        for model in known_models():
            assert set(profile_for(model).inputs or ("text",)) <= known, model

    def test_every_price_class_has_a_price(self) -> None:
        prices = quota_rules()["magicubes"]["cost"]
        for model in known_models():
            assert profile_for(model).tier in {None, *prices}, model

    def test_an_embedding_model_says_how_long_its_vectors_are(self) -> None:
        lengths = {
            model: profile_for(model).dimensions
            for model in known_models()
            if profile_for(model).task == "embedding"
        }
        assert lengths == {
            "Qwen/Qwen3-Embedding-0.6B": 1024,
            "Qwen/Qwen3-Embedding-4B": 2560,
            "Qwen/Qwen3-Embedding-8B": 4096,
        }


class TestLookUp:
    def test_an_unknown_model_is_taken_to_chat_and_to_call_functions(self) -> None:
        assert profile_for("somebody/Brand-New") == ModelProfile(id="somebody/Brand-New")
        profile = profile_for("somebody/Brand-New")
        assert profile.task == "chat"
        assert profile.tool_calling
        assert profile.stream_usage
        assert not profile.stream_only
        assert profile.inputs is None
        assert profile.fixed_temperature is None

    @pytest.mark.parametrize(
        ("model", "facts"),
        [
            ("Qwen/Qwen3-1.7B", {"thinking": "hybrid", "stream_only": False}),
            ("Qwen/Qwen3-99B-A9B-Thinking-2507", {"thinking": "always", "stream_only": True}),
            ("Qwen/QwQ-64B", {"thinking": "always", "stream_only": True}),
            ("Qwen/Qwen3.5-999B", {"thinking": "hybrid", "thinking_switch": "both"}),
            ("somebody/Tiny-Embedding", {"task": "embedding", "dimensions": None}),
            ("Qwen/Qwen4-Instruct-2507", {"thinking": "none", "stream_only": False}),
            ("Qwen/Qwen4-Thinking", {"thinking": "always", "stream_only": False}),
            ("Qwen/QVQ-9B", {"thinking": "always", "stream_only": True}),
            (
                "Qwen-Ambassador/Qwen3.7-Tiny",
                {
                    "thinking": "hybrid",
                    "thinking_switch": "chat_template_kwargs",
                    "forced_tools": "without_thinking",
                },
            ),
            ("somebody/Tiny-Reranker", {"task": "text-ranking"}),
            (
                "somebody/stable-diffusion-9",
                {"task": "text-to-image-synthesis", "image_sides": (64, 2048)},
            ),
            ("Qwen/Qwen-Image-9", {"task": "image", "image_sides": (64, 1664)}),
            ("Qwen/Qwen-Image-Edit-9", {"task": "image-to-image", "image_sides": (64, 1664)}),
            ("black-forest-labs/FLUX.9", {"task": "image", "image_sides": (64, 1024)}),
            ("MusePublic/Somebodys", {"task": "image"}),
            (
                "Tongyi-MAI/Z-Image-9",
                {
                    "task": "text-to-image-synthesis",
                    "image_sides": (512, 2048),
                    "image_references": 0,
                },
            ),
            ("deepseek-ai/DeepSeek-V3.2-Next", {"send_reasoning": True}),
            ("deepseek-ai/DeepSeek-V4-Next", {"send_reasoning": True}),
            ("moonshotai/Kimi-K2.9", {"send_reasoning": True}),
            ("MiniMax/MiniMax-M9", {"send_reasoning": True}),
        ],
    )
    def test_a_model_without_a_table_has_what_its_family_has(
        self, model: str, facts: dict[str, object]
    ) -> None:
        profile = profile_for(model)
        assert {name: getattr(profile, name) for name in facts} == facts

    def test_a_table_stands_over_its_family_and_the_family_over_the_defaults(self) -> None:
        own, sibling = profile_for("Qwen/Qwen3-8B"), profile_for("Qwen/Qwen3-1.7B")
        assert own.stream_only
        assert not sibling.stream_only
        assert own.source != sibling.source
        assert own.thinking == sibling.thinking == "hybrid"
        assert ModelProfile(id="somebody/Brand-New").thinking is None

    def test_a_family_reaches_no_further_than_its_pattern(self) -> None:
        assert profile_for("Qwen/Qwen3-Coder-30B-A3B-Instruct").thinking == "none"
        assert profile_for("Qwen/Qwen3-235B-A22B-Instruct-2507").thinking == "none"
        assert profile_for("qwen/qwen3-8b") == ModelProfile(id="qwen/qwen3-8b")

    def test_a_model_of_another_provider_has_the_facts_of_the_model(self) -> None:
        passed_on = profile_for("Qwen/Qwen3-8B:DashScope")
        assert passed_on.id == "Qwen/Qwen3-8B:DashScope"
        assert passed_on.context_window == profile_for("Qwen/Qwen3-8B").context_window
        assert passed_on.stream_only
        assert profile_for("somebody/Brand-New:DashScope").tool_calling

    @pytest.mark.parametrize(
        ("model", "fact", "value"),
        [
            ("deepseek-ai/DeepSeek-V4.1-Flash", "structured_output", "json_object"),
            ("moonshotai/Kimi-K2.5", "fixed_temperature", 1),
            ("Qwen-Ambassador/Qwen3.7-Max", "forced_tools", "without_thinking"),
            ("Qwen/QwQ-32B", "stream_only", True),
            ("Qwen/Qwen3-8B", "stream_only", True),
            ("Qwen/Qwen3-32B", "stream_only", True),
            ("Qwen/Qwen3-235B-A22B", "stream_only", True),
            ("MusePublic/Qwen-Image-Edit", "task", "image-to-image"),
            ("nex-agi/Nex-N2.5-mini", "tier", "lite"),
        ],
    )
    def test_what_this_service_was_seen_to_do_is_in_the_profile(
        self, model: str, fact: str, value: object
    ) -> None:
        assert getattr(profile_for(model), fact) == value


class TestNearNames:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("qwen/qwen3-8b", "Qwen/Qwen3-8B"),
            ("Qwen/Qwen3-8b", "Qwen/Qwen3-8B"),
            ("GLM-5.1", "ZhipuAI/GLM-5.1"),
            ("zai-org/GLM-5.1", "ZhipuAI/GLM-5.1"),
            ("deepseek-ai/DeepSeek-V4.1-Falsh", "deepseek-ai/DeepSeek-V4.1-Flash"),
        ],
    )
    def test_a_misspelt_model_finds_the_one_that_was_meant(self, written: str, meant: str) -> None:
        near = near_names(written)
        assert near[0] == meant
        assert len(near) <= 3
        assert len(set(near)) == len(near)

    def test_nothing_is_suggested_for_what_looks_like_nothing_known(self) -> None:
        assert near_names("nobody/zzzzzz") == ()

    def test_a_model_is_not_suggested_for_itself(self) -> None:
        assert "Qwen/Qwen3-8B" not in near_names("Qwen/Qwen3-8B")


class TestWhatRefusalsTeach:
    def test_a_lesson_is_remembered(self) -> None:
        book = ProfileBook()
        assert book.look_up("Qwen/Qwen3-14B") == profile_for("Qwen/Qwen3-14B")
        book.learn("Qwen/Qwen3-14B", stream_only=True)
        learnt = book.look_up("Qwen/Qwen3-14B")
        assert learnt.stream_only
        assert learnt.context_window == profile_for("Qwen/Qwen3-14B").context_window

    def test_lessons_add_up(self) -> None:
        book = ProfileBook()
        book.learn("somebody/Brand-New", stream_only=True)
        book.learn("somebody/Brand-New", fixed_temperature=1.0)
        profile = book.look_up("somebody/Brand-New")
        assert (profile.stream_only, profile.fixed_temperature) == (True, 1.0)

    def test_a_lesson_stays_with_its_book_and_its_model(self) -> None:
        book = ProfileBook()
        book.learn("somebody/Brand-New", stream_only=True)
        assert not book.look_up("somebody/Other").stream_only
        assert not ProfileBook().look_up("somebody/Brand-New").stream_only
        assert not profile_for("somebody/Brand-New").stream_only

    @forking
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_forked_child_learns_though_a_thread_of_the_parent_was_learning(self) -> None:
        book = ProfileBook()

        def learn() -> int:
            book.learn("somebody/Brand-New", context_window=7)
            return book.look_up("somebody/Brand-New").context_window or 0

        assert in_a_fork(book._lock, learn) == 7
