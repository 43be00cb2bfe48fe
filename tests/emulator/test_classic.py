"""Classic pipelines and the hub's library of models on the wire."""

from __future__ import annotations

import pytest

from modelscope_transport.emulator import Model
from modelscope_transport.emulator.scripted.classic import PIPELINES

MOOD = "damo/nlp_structbert_sentiment-classification_chinese-base"


def run(caller, model, given, **fields):
    return caller.request("POST", f"/api-inference/v1/models/{model}", {"input": given, **fields})


def test_an_answer_lies_under_data(caller):
    answered = run(caller, MOOD, "很好，我喜欢")
    assert answered.status == 200
    assert (answered.json["Code"], answered.json["Success"]) == (200, True)
    data = answered.json["Data"]
    assert data["labels"] == ["正面", "负面"]
    assert sum(data["scores"]) == pytest.approx(1)
    assert data["scores"][0] > 0.5


INPUTS = {
    "zero-shot-classification": ("a cat sat", {"candidate_labels": ["cat", "dog"]}),
    "nli": (["one text", "another text"], {}),
    "sentence-similarity": ({"source_text": "one", "target_text": "two"}, {}),
    "siamese-uie": ("Ann met Bob.", {"schema": {"人物": None}}),
    "sentence-embedding": ({"source_sentence": ["a"], "sentences_to_compare": ["b"]}, {}),
    "text-ranking": ({"source_sentence": ["a"], "sentences_to_compare": ["a", "b"]}, {}),
    "multimodal-dialogue": ({"messages": [{"role": "user", "content": "hi"}]}, {}),
}


@pytest.mark.parametrize("task", PIPELINES)
def test_every_task_has_an_answer(call, task):
    caller = call(models=[Model("own/pipeline", "pipeline", task=task)])
    given, parameters = INPUTS.get(task, ("Ann Lee is in Paris.", {}))
    answered = run(caller, "own/pipeline", given, parameters=parameters)
    assert answered.status == 200
    assert answered.json["Data"]


def test_what_was_spoken_can_be_fetched(caller):
    answered = run(caller, "iic/speech_sambert-hifigan_tts_zh-cn_16k", "你好")
    url = answered.json["Data"]["output_wav"]
    sound = caller.request("GET", url.removeprefix(caller.service.root_url), token=None)
    assert sound.headers["content-type"] == "audio/wav"
    assert sound.content.startswith(b"RIFF")


@pytest.mark.parametrize("model", ["damo/nlp_none", "Qwen/Qwen3-8B", "Qwen/Qwen-Image"])
def test_another_model_is_a_plain_404(caller, model):
    answered = run(caller, model, "x")
    assert (answered.status, answered.content) == (404, b"404 page not found")


@pytest.mark.parametrize("given", [None, "", [], {}, ["x"], {"text": "x"}, 5])
def test_an_input_of_another_form_is_refused_in_the_hubs_envelope(caller, given):
    answered = run(caller, MOOD, given)
    assert answered.status == 400
    assert answered.json["Success"] is False


def test_a_pipeline_is_charged_and_needs_a_token(call):
    caller = call(allowance="calls=1")
    assert (
        caller.request("POST", f"/api-inference/v1/models/{MOOD}", {"input": "x"}, "no").status
        == 401
    )
    assert run(caller, MOOD, "x").status == 200
    assert run(caller, MOOD, "x").status == 429


# --- the hub


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("Qwen/Qwen3-8B", "text-generation"),
        ("Qwen/Qwen3.5-122B-A10B", "image-text-to-text"),
        ("Qwen/Qwen3-Embedding-8B", "sentence-embedding"),
        ("Qwen/Qwen-Image", "text-to-image-synthesis"),
        ("Qwen/Qwen-Image-Edit", "image-to-image"),
        (MOOD, "sentiment-classification"),
    ],
)
def test_a_models_page_names_its_tasks(caller, model, task):
    answered = caller.request("GET", f"/api/v1/models/{model}", token=None)
    assert answered.status == 200
    assert [each["Name"] for each in answered.json["Data"]["Tasks"]] == [task]


def test_a_model_without_a_page_is_a_404(caller):
    answered = caller.request("GET", "/api/v1/models/own/none", token=None)
    assert (answered.status, answered.json["Success"]) == (404, False)


def test_the_search_looks_at_names_tasks_and_owners(caller):
    def found(query):
        data = caller.request("GET", f"/openapi/v1/models?{query}", token=None).json["data"]
        assert data["total_count"] >= len(data["models"])
        return {model["id"] for model in data["models"]}

    assert found("search=embedding&page_size=50") == {
        "Qwen/Qwen3-Embedding-0.6B",
        "Qwen/Qwen3-Embedding-4B",
        "Qwen/Qwen3-Embedding-8B",
        "damo/nlp_corom_sentence-embedding_chinese-base",
    }
    assert found("filter.task=image-to-image") == {"Qwen/Qwen-Image-Edit"}
    assert found("owner=Tongyi-MAI") == {"Tongyi-MAI/Z-Image-Turbo"}
    assert len(found("page_size=2&page_number=2")) == 2


@pytest.mark.parametrize("query", ["page_size=51", "page_size=0", "page_size=50&page_number=61"])
def test_a_page_out_of_range_is_refused(caller, query):
    answered = caller.request("GET", f"/openapi/v1/models?{query}", token=None)
    assert (answered.status, answered.json["code"]) == (400, "InputParameterError")


def test_the_websites_filter_takes_a_task(caller):
    criterion = {"category": "tasks", "predicate": "contains", "values": ["image-to-image"]}
    body = {"Name": "", "Criterion": [criterion], "PageNumber": 1, "PageSize": 30}
    answered = caller.request("PUT", "/api/v1/dolphin/models", body, token=None)
    found = answered.json["Data"]["Model"]
    assert (found["TotalCount"], found["Models"][0]["Name"]) == (1, "Qwen-Image-Edit")
