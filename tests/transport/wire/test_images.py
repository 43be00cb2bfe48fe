"""Images on the wire: what is sent, what is refused before, what the replies mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import InvalidRequestError, ModelScopeError
from modelscope_transport._wire import images
from modelscope_transport._wire.encoded import Done, Ended, Pending, Waiting
from modelscope_transport._wire.outcomes import Failure, Reply
from modelscope_transport.catalogue.models import profile_for
from modelscope_transport.task_types import Image, ImageRequest
from tests.transport.recorded import Sample, sample, samples

MODEL, EDIT, BOTH = "somebody/Painter", "Qwen/Qwen-Image-Edit", "Qwen/Qwen-Image-2.1"
HERE = "https://example.com/cat.png"


def sent(model: str = MODEL, prompt: str = "a cat", **fields: Any) -> dict[str, Any]:
    request = ImageRequest(model=model, prompt=prompt, **fields)
    body: dict[str, Any] = json.loads(
        images.prepare(request, profile_for(model), stream=False).body
    )
    return body


def refusal(model: str = MODEL, **fields: Any) -> str:
    with pytest.raises(ModelScopeError) as caught:
        sent(model, **fields)
    assert caught.value.status_code is None
    return str(caught.value)


# --- the request


def test_a_plain_request_is_model_and_prompt() -> None:
    assert sent() == {"model": MODEL, "prompt": "a cat"}


def test_every_parameter_arrives_under_its_documented_name() -> None:
    body = sent(
        BOTH,
        negative_prompt="dogs",
        size="1328x1328",
        seed=7,
        steps=30,
        guidance=3.5,
        images=(HERE, "data:image/png;base64,aGVsbG8="),
        loras={"a/one": 0.6, "b/two": 0.4},
        extra_body={"watermark": False},
    )
    assert body == {
        "model": BOTH,
        "prompt": "a cat",
        "negative_prompt": "dogs",
        "size": "1328x1328",
        "seed": 7,
        "steps": 30,
        "guidance": 3.5,
        "image_url": [HERE, "data:image/png;base64,aGVsbG8="],
        "loras": {"a/one": 0.6, "b/two": 0.4},
        "watermark": False,
    }


def test_the_submission_asks_for_a_task() -> None:
    encoded = images.prepare(
        ImageRequest(model=MODEL, prompt="x"), profile_for(MODEL), stream=False
    )
    assert encoded.headers == {"x-modelscope-async-mode": "true"}


def test_one_lora_is_its_id() -> None:
    assert sent(loras="owner/lora")["loras"] == "owner/lora"


# Each parameter at the ends of its documented range, and one step beyond.
INSIDE: list[dict[str, Any]] = [
    {"prompt": "x" * 1999},
    {"negative_prompt": "x" * 1999},
    {"seed": 0},
    {"seed": 2**31 - 1},
    {"steps": 1},
    {"steps": 100},
    {"guidance": 1.5},
    {"guidance": 20},
    {"size": "64x64"},
    {"size": "2048x2048"},
    {"model": BOTH, "size": "64x1664"},
    {"model": "black-forest-labs/FLUX.1-dev", "size": "1024x1024"},
    {"model": "Tongyi-MAI/Z-Image-Turbo", "size": "512x2048"},
    {"model": "AI-ModelScope/stable-diffusion-xl-base-1.0", "size": "2048x64"},
    {"images": (HERE,) * 4},
    {"model": BOTH, "images": (HERE,) * 4},
    {"loras": {f"a/lora-{n}": 1 / 6 for n in range(6)}},
    {"loras": {"a/one": 1}},
]
OUTSIDE: list[dict[str, Any]] = [
    {"prompt": ""},
    {"prompt": "  \n"},
    {"prompt": "x" * 2000},
    {"negative_prompt": "x" * 2000},
    {"seed": -1},
    {"seed": 2**31},
    {"seed": 1.5},
    {"seed": True},
    {"steps": 0},
    {"steps": 101},
    {"steps": "many"},
    {"guidance": 1.49},
    {"guidance": 20.1},
    {"guidance": float("nan")},
    {"size": "63x64"},
    {"size": "2048x2049"},
    {"size": "1024"},
    {"size": "1024*1024"},
    {"size": "-64x64"},
    {"model": BOTH, "size": "1665x64"},
    {"model": "black-forest-labs/FLUX.1-dev", "size": "1025x1024"},
    {"model": "Tongyi-MAI/Z-Image-Turbo", "size": "511x512"},
    {"images": (HERE,) * 5},
    {"images": ("cat.png",)},
    {"images": ("file:///etc/passwd",)},
    {"images": ("http://169.254.169.254/latest/meta-data",)},
    {"images": ("https://169.254.169.254/latest/meta-data",)},
    {"images": ("https://user:open-sesame@example.com/cat.png",)},
    {"images": ("https://example.com/cat.png\r\nx-evil: 1",)},
    {"images": ("data:image/png;base64,aGVs\r\nbG8=",)},
    {"images": (7,)},
    {"images": ("data:text/plain;base64,aGVsbG8=",)},
    {"model": "Qwen/Qwen-Image", "images": (HERE,)},
    {"model": "Tongyi-MAI/Z-Image-Turbo", "images": (HERE,)},
    {"model": EDIT},
    {"loras": "no-owner"},
    {"loras": {}},
    {"loras": {f"a/lora-{n}": 1 / 7 for n in range(7)}},
    {"loras": {"a/one": 0.6, "b/two": 0.6}},
    {"loras": {"no-owner": 1.0}},
]


def shown(case: dict[str, Any]) -> str:
    return " ".join(f"{name}={str(value)[:24]}" for name, value in case.items())


def test_a_refused_address_is_shown_without_its_password() -> None:
    said = refusal(images=("https://user:open-sesame@example.com/cat.png",))
    assert said.startswith("'…@example.com/cat.png' is not an address")


@pytest.mark.parametrize("case", INSIDE, ids=shown)
def test_the_ends_of_a_range_are_inside(case: dict[str, Any]) -> None:
    for name, value in sent(**case).items():
        assert name in ("model", "prompt", "image_url") or value == case[name]


@pytest.mark.parametrize("case", OUTSIDE, ids=shown)
def test_what_is_outside_of_its_range_is_refused_in_a_sentence_or_two(case: dict[str, Any]) -> None:
    said = refusal(**case)
    assert said.endswith(".")
    assert len(said) < 400
    assert "\n" not in said
    assert "sesame" not in said


def test_the_bounds_of_a_seed_are_written_out() -> None:
    assert "between 0 and 2147483647, and is -1" in refusal(seed=-1)


@given(
    seed=st.none() | st.integers() | st.floats(),
    steps=st.none() | st.integers(-5, 200),
    guidance=st.none() | st.floats() | st.integers(-5, 50),
    size=st.none() | st.from_regex(r"\d{0,5}[x*]\d{0,5}", fullmatch=True) | st.text(max_size=8),
    prompt=st.text(max_size=30),
)
def test_any_parameters_are_sent_as_they_are_or_refused(
    seed: Any, steps: Any, guidance: Any, size: Any, prompt: str
) -> None:
    given = {"seed": seed, "steps": steps, "guidance": guidance, "size": size, "prompt": prompt}
    try:
        body = sent(**given)
    except InvalidRequestError:
        return
    assert {name: body[name] for name in given if given[name] is not None} == {
        name: value for name, value in given.items() if value is not None
    }
    assert seed is None or 0 <= seed < 2**31
    assert steps is None or 1 <= steps <= 100
    assert guidance is None or 1.5 <= guidance <= 20
    assert size is None or all(64 <= int(side) <= 2048 for side in size.split("x"))


# --- the replies

MEANT = {
    "accepted": Pending,
    "synchronous_obsolete": Done,
    "processing": Waiting,
    "processing_without_ids": Waiting,
    "state_pending": Waiting,
    "state_running": Waiting,
    "done": Done,
    "content_refused": Ended,
    "failed_with_message_outside": Ended,
}


@pytest.mark.parametrize("recorded", samples("images"), ids=lambda recorded: recorded.name)
def test_every_recorded_reply_reads_as_what_it_is(recorded: Sample) -> None:
    if recorded.status != 200:
        failure = images.look("id").refused(recorded.reply)
        assert failure.message == "task not found"
        return
    submitted = recorded.name in ("accepted", "synchronous_obsolete")
    request = ImageRequest(model=MODEL, prompt="x")
    encoded = (
        images.prepare(request, profile_for(MODEL), stream=False)
        if submitted
        else images.look("id")
    )
    assert isinstance(encoded.read(recorded.reply), MEANT[recorded.name])


def test_a_done_task_names_its_images() -> None:
    value = images.look("id").read(sample("images/done").reply)
    assert value.urls == ("https://example.com/image.png",)


def test_a_refused_content_keeps_its_code_and_words() -> None:
    value = images.look("id").read(sample("images/content_refused").reply)
    assert value.failure.code == "422"
    assert "inappropriate content" in value.failure.message


def test_a_task_is_asked_after_by_its_own_header_and_a_quoted_id() -> None:
    encoded = images.look("a/b c")
    assert encoded.path == "/tasks/a%2Fb%20c"
    assert encoded.headers == {"x-modelscope-task-type": "image_generation"}


def body(**fields: Any) -> Reply:
    return Reply(200, {}, json.dumps(fields).encode())


def test_the_id_of_a_task_may_be_a_number() -> None:
    request = images.prepare(
        ImageRequest(model=MODEL, prompt="a cat"), profile_for(MODEL), stream=False
    )
    assert request.read(body(task_id=7, task_status="SUCCEED")) == Pending("7")


def test_an_address_is_read_as_it_stands() -> None:
    # Whether it may be fetched is for the one policy of destinations.
    url = "http://127.0.0.1:8000/x.png"
    done = images.look("id").read(body(task_status="SUCCEED", output_images=[url]))
    assert done == Done((url,), status="SUCCEED")


@pytest.mark.parametrize("url", ["@evil.example/x", ".evil.example/x", "/x.png", "file:///x", "x"])
def test_what_is_no_address_leads_to_no_image(url: str) -> None:
    urls = ["https://a.example/1.png", url]
    ended = images.look("id").read(body(task_status="SUCCEED", output_images=urls))
    assert isinstance(ended, Ended)
    assert (ended.failure.code, url in ended.failure.message) == ("image not there", True)


def test_an_address_may_be_in_capitals() -> None:
    url = "HTTPS://a.example/1.png"
    value = images.look("id").read(body(task_status="SUCCEED", output_images=[url]))
    assert value == Done((url,), status="SUCCEED")


@pytest.mark.parametrize("reply", [b"", b"{}", b"[]", b"null", b"<html>", b'{"task_status": 7}'])
def test_a_reply_without_sense_is_a_failure(reply: bytes) -> None:
    value = images.look("id").read(Reply(200, {}, reply))
    assert isinstance(value, Failure | Waiting)
    assert not isinstance(value, Waiting) or b"task_status" in reply


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_body_brings_the_decoder_down(content: bytes) -> None:
    for read in (images.look("id").read, images.fetch(HERE).read):
        read(Reply(200, {}, content))


def test_an_image_is_known_by_its_first_bytes_not_by_its_name() -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"rest"
    value = images.fetch("https://example.com/picture.jpg").read(Reply(200, {}, png))
    assert value == Image("https://example.com/picture.jpg", png, "image/png")


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"(more than 32 MiB)", b""])
def test_what_is_no_image_says_where_it_came_from(content: bytes) -> None:
    value = images.fetch(HERE).read(Reply(200, {}, content))
    assert isinstance(value, Failure)
    assert HERE in value.message
