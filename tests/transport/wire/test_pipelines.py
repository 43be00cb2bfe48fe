"""Classic pipelines on the wire: what each task takes, and how each answer reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import InvalidRequestError, ModelScopeError
from modelscope_transport._wire import pipelines
from modelscope_transport._wire.encoded import Form
from modelscope_transport._wire.outcomes import Failure, Reply
from modelscope_transport._wire.wires import prepare
from modelscope_transport.catalogue.models import profile_for
from modelscope_transport.catalogue.tasks import TASKS
from modelscope_transport.task_types import (
    Entity,
    Label,
    PipelineRequest,
    PipelineResult,
    Sound,
    Vectors,
)

MODEL = "damo/nlp_some_pipeline"


def sent(task: str, given: Any, **fields: Any) -> dict[str, Any]:
    request = PipelineRequest(model=MODEL, task=task, input=given, **fields)
    body: dict[str, Any] = json.loads(prepare(TASKS[task], request, profile_for(MODEL)).body)
    return body


def read(task: str, data: Any, **envelope: Any) -> PipelineResult | Failure:
    body = {"Code": 200, "Data": data, "Success": True, **envelope}
    return pipelines.decode(json.dumps(body).encode(), TASKS[task].form)


@pytest.mark.parametrize(
    ("task", "given", "expected"),
    [
        ("translation", "你好", "你好"),
        ("nli", ("one", "two"), ["one", "two"]),
        ("nli", {"premise": "one", "hypothesis": "two"}, {"premise": "one", "hypothesis": "two"}),
        (
            "classic-sentence-embedding",
            ("one", "two", "three"),
            {"source_sentence": ["one"], "sentences_to_compare": ["two", "three"]},
        ),
        (
            "classic-sentence-embedding",
            "one",
            {"source_sentence": ["one"], "sentences_to_compare": []},
        ),
        ("auto-speech-recognition", "https://a.example/x.wav", "https://a.example/x.wav"),
        ("auto-speech-recognition", "data:audio/wav;base64,UklGRg==", "UklGRg=="),
        ("multimodal-dialogue", {"messages": []}, {"messages": []}),
    ],
)
def test_an_input_is_written_as_its_task_takes_it(task: str, given: Any, expected: Any) -> None:
    assert sent(task, given) == {"input": expected}


def test_parameters_and_further_fields_stand_beside_the_input() -> None:
    body = sent("siamese-uie", "x", parameters={"schema": {"人物": None}}, extra_body={"v": 1})
    assert body == {"input": "x", "parameters": {"schema": {"人物": None}}, "v": 1}


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ("translation", ""),
        ("translation", " "),
        ("translation", None),
        ("translation", ["x"]),
        ("nli", "one"),
        ("nli", ("one", "two", "three")),
        ("nli", ("one", "")),
        ("classic-text-ranking", ()),
        ("auto-speech-recognition", "speech.wav"),
        ("auto-speech-recognition", b"RIFF"),
        ("multimodal-dialogue", None),
        ("pipeline", {1, 2}.__contains__),
    ],
)
def test_an_input_of_another_form_is_refused(task: str, given: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        sent(task, given)
    assert caught.value.status_code is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_no_input_brings_the_encoder_down(given: Any) -> None:
    for task in ("translation", "nli", "classic-text-ranking", "pipeline", "ocr-recognition"):
        try:
            sent(task, given)
        except ModelScopeError as error:
            assert error.status_code is None  # noqa: PT017 - both ends are right


def test_the_address_holds_the_model_quoted() -> None:
    request = PipelineRequest(model="owner/名#?", task="pipeline", input="x")
    path = prepare(TASKS["pipeline"], request, profile_for("owner/名#?")).path
    assert path == "/../api-inference/v1/models/owner/%E5%90%8D%23%3F"


# --- answers: the forms of modelscope/modelscope, outputs/outputs.py


@pytest.mark.parametrize(
    ("task", "data", "output"),
    [
        (
            "sentiment-classification",
            {"labels": ["负面", "正面"], "scores": [0.1, 0.9]},
            (Label("正面", 0.9), Label("负面", 0.1)),
        ),
        ("sentence-similarity", {"labels": "1", "scores": 0.9}, (Label("1", 0.9),)),
        (
            "named-entity-recognition",
            {"output": [{"type": "LOC", "start": 2, "end": 5, "span": "温岭市"}]},
            (Entity("LOC", "温岭市", 2, 5),),
        ),
        (
            "token-classification",
            {"output": [{"type": "road", "span": "文三路"}]},
            (Entity("road", "文三路"),),
        ),
        ("translation", {"translation": "hello"}, "hello"),
        ("auto-speech-recognition", {"text": "每一天都要快乐喔"}, "每一天都要快乐喔"),
        ("ocr-recognition", {"text": ["one line"]}, "one line"),
        ("image-captioning", {"caption": "a cat"}, "a cat"),
        ("text-error-correction", {"output": "我想吃苹果"}, "我想吃苹果"),
        ("word-segmentation", {"output": ["今天", "天气"]}, ["今天", "天气"]),
        (
            "siamese-uie",
            {"output": [[{"type": "人物", "span": "张"}]]},
            [[{"type": "人物", "span": "张"}]],
        ),
        (
            "text-to-speech",
            {"output_wav": "https://a.example/x.wav"},
            Sound(url="https://a.example/x.wav"),
        ),
        ("text-to-speech", {"output_wav": "UklGRg=="}, Sound(base64="UklGRg==")),
        (
            "classic-sentence-embedding",
            {"text_embedding": [[1, 0], [0, 1]], "scores": [0.5]},
            Vectors(([1.0, 0.0], [0.0, 1.0]), (0.5,)),
        ),
        ("classic-text-ranking", {"scores": [0.1, 0.9]}, (0.1, 0.9)),
        ("pipeline", {"anything": 1}, {"anything": 1}),
    ],
)
def test_an_answer_reads_in_the_types_of_its_task(task: str, data: Any, output: Any) -> None:
    result = read(task, data)
    assert isinstance(result, PipelineResult)
    assert result.output == output
    assert result.data == data


@pytest.mark.parametrize(
    ("task", "data"),
    [
        ("sentiment-classification", {"labels": ["a", "b"], "scores": [1]}),
        ("sentiment-classification", {"labels": ["a"], "scores": ["nan"]}),
        ("sentiment-classification", {"labels": ["a"], "scores": [10**400]}),
        ("sentiment-classification", {"output": "a"}),
        ("named-entity-recognition", {"output": "a"}),
        ("named-entity-recognition", {"output": [{"type": "LOC"}]}),
        ("translation", {"text": "under another name"}),
        ("translation", {"translation": ["a", "b"]}),
        ("classic-sentence-embedding", {"text_embedding": [[None]]}),
        ("text-to-speech", {"output_wav": ""}),
    ],
)
def test_an_answer_of_another_form_is_unreadable(task: str, data: Any) -> None:
    result = read(task, data)
    assert isinstance(result, Failure)
    assert result.unreadable


def test_a_refusal_inside_a_success_is_a_failure() -> None:
    result = read("translation", None, Code=10010, Success=False, Message="model not loaded")
    assert isinstance(result, Failure)
    assert result.message == "model not loaded"


@pytest.mark.parametrize("code", [None, 0, 200, "200"])
def test_these_codes_are_those_of_a_success(code: Any) -> None:
    result = read("translation", {"translation": "早"}, Code=code, Success=True)
    assert isinstance(result, PipelineResult)
    assert result.output == "早"


@pytest.mark.parametrize("data", [None, {}])
def test_a_success_without_data_is_empty(data: Any) -> None:
    result = read("translation", data)
    assert isinstance(result, Failure)
    assert result.empty


@given(st.binary(max_size=200), st.sampled_from(sorted(TASKS)))
def test_no_body_brings_the_decoder_down(body: bytes, task: str) -> None:
    pipelines.decode(body, TASKS[task].form)


@given(
    st.dictionaries(
        st.sampled_from(["labels", "scores", "output", "text", "text_embedding", "translation"]),
        st.recursive(
            st.none() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=2)
            ),
            max_leaves=6,
        ),
    ),
    st.sampled_from(sorted({row.form for row in TASKS.values()}, key=str)),
)
def test_no_data_brings_the_decoder_down(data: dict[str, Any], form: Form) -> None:
    body = json.dumps({"Data": data}).encode()
    assert isinstance(pipelines.decode(body, form), PipelineResult | Failure)


def test_a_404_is_marked_and_other_refusals_are_read() -> None:
    encoded = prepare(
        TASKS["translation"],
        PipelineRequest(model=MODEL, task="translation", input="x"),
        profile_for(MODEL),
    )
    assert encoded.refused(Reply(404, {}, b"404 page not found")).code == "undocumented pipeline"
    said = encoded.refused(Reply(400, {}, b'{"Code": 400, "Message": "input is empty"}'))
    assert (said.code, said.message) == ("400", "input is empty")
