"""Pictures: the task's whole life on the wire, what is refused, and the files themselves."""

from __future__ import annotations

import base64
import http.client
import json
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport.emulator.scripted.drawing import (
    Picture,
    caption_of,
    draw,
    name_of,
    picture_of,
    speak,
)

SAMPLES = Path(__file__).parents[1] / "samples" / "images"
MODEL, EDIT = "Qwen/Qwen-Image", "Qwen/Qwen-Image-Edit"


def send(caller: Any, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """A request with headers of its own: status, headers, content."""
    given = {"authorization": f"Bearer {caller.service.token}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    content = None if body is None else json.dumps(body)
    with closing(http.client.HTTPConnection(*caller.address, timeout=20)) as connection:
        connection.request(method, path, content, given)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()


def submit(caller: Any, model: str = MODEL, prompt: str = "a cat", **fields: Any) -> Any:
    body = {"model": model, "prompt": prompt, **fields}
    status, _, content = send(
        caller, "POST", "/v1/images/generations", body, x_modelscope_async_mode="true"
    )
    return status, json.loads(content)


def look(caller: Any, task_id: str) -> Any:
    kind = {"x_modelscope_task_type": "image_generation"}
    status, _, content = send(caller, "GET", f"/v1/tasks/{task_id}", **kind)
    return status, json.loads(content)


def recorded(name: str) -> dict[str, Any]:
    sample = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    body: dict[str, Any] = json.loads(sample["body"])
    return body


def test_a_task_has_the_recorded_shapes_from_beginning_to_end(caller):
    status, accepted = submit(caller, size="80x64")
    assert (status, accepted.keys()) == (200, recorded("accepted").keys())
    assert accepted["task_status"] == "SUCCEED"

    _, working = look(caller, accepted["task_id"])
    assert working.keys() == recorded("processing").keys()
    assert (working["task_status"], working["outputs"]) == ("PROCESSING", {})

    _, done = look(caller, accepted["task_id"])
    assert done.keys() == recorded("done").keys()
    assert done["task_status"] == "SUCCEED"
    (url,) = done["output_images"]
    status, headers, content = send(caller, "GET", url.removeprefix(caller.service.root_url))
    assert (status, headers["content-type"]) == (200, "image/png")
    assert struct.unpack(">II", content[16:24]) == (80, 64)


def test_pictures_are_made_asynchronously_only(caller):
    status, _, content = send(
        caller, "POST", "/v1/images/generations", {"model": MODEL, "prompt": "x"}
    )
    assert status == 400
    assert "X-ModelScope-Async-Mode=true" in json.loads(content)["errors"]["message"]


def test_a_task_is_found_by_its_own_header_and_token_only(caller):
    _, accepted = submit(caller)
    path = f"/v1/tasks/{accepted['task_id']}"
    assert send(caller, "GET", path)[0] == 404
    assert look(caller, "00000000") == (404, {"errors": {"message": "task not found"}})
    kind = {"x_modelscope_task_type": "image_generation"}
    assert send(caller, "GET", path, authorization="Bearer nothing", **kind)[0] == 401


def test_a_model_that_is_not_served_is_accepted_and_fails(caller):
    _, accepted = submit(caller, "somebody/Unserved")
    look(caller, accepted["task_id"])
    status, failed = look(caller, accepted["task_id"])
    assert (status, failed["task_status"]) == (200, "FAILED")
    assert "has no provider supported" in failed["errors"]["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ""},
        {"prompt": "x" * 2000},
        {"negative_prompt": "x" * 2000},
        {"seed": -1},
        {"seed": 2**31},
        {"seed": 0.5},
        {"steps": 0},
        {"steps": 101},
        {"guidance": 1.4},
        {"guidance": 21},
        {"guidance": "much"},
        {"size": "63x64"},
        {"size": "1665x64"},
        {"size": "large"},
        {"image_url": ["https://a.example/x.png"]},
        {"model": EDIT},
        {"model": EDIT, "image_url": ["x.png"]},
        {"model": EDIT, "image_url": ["https://a.example/x.png"] * 5},
        {"loras": {"a/b": 0.5}},
        {"loras": {}},
        {"model": "Qwen/Qwen3-8B"},
        {"model": "no-owner"},
        {"model": None},
    ],
    ids=lambda fields: " ".join(f"{key}={str(value)[:12]}" for key, value in fields.items()),
)
def test_what_is_out_of_range_is_refused(caller, fields):
    status, body = submit(caller, **fields)
    assert status == 400
    assert (body.get("error") or body.get("errors"))["message"]


@pytest.mark.parametrize("image", ["https://a.example/x.png", "data:image/png;base64,eA=="])
def test_one_picture_to_start_from_may_stand_outside_of_a_list(caller, image):
    assert submit(caller, EDIT, image_url=image)[0] == 200


def test_a_submission_is_charged_and_looks_are_not(call):
    caller = call(allowance="calls=2")
    for _ in range(2):
        _, accepted = submit(caller, size="64x64")
        for _ in range(5):
            assert look(caller, accepted["task_id"])[0] == 200
    assert submit(caller)[0] == 429


def test_a_second_task_is_refused_until_the_first_is_done(call):
    caller = call(allowance="concurrency=1")
    _, accepted = submit(caller, size="64x64")
    assert submit(caller)[0] == 429
    for _ in range(2):
        look(caller, accepted["task_id"])
    assert submit(caller)[0] == 200


@pytest.mark.parametrize(
    ("scenario", "states"),
    [
        ("task_slow:3", ["PROCESSING", "PROCESSING", "PROCESSING", "SUCCEED"]),
        ("task_pending:1", ["PENDING", "SUCCEED"]),
        ("task_running", ["RUNNING", "RUNNING", "SUCCEED"]),
        ("task_refused", ["PROCESSING", "FAILED"]),
        ("task_busy", ["PROCESSING", "FAILED"]),
        ("task_spent", ["PROCESSING", "FAILED"]),
        ("task_message", ["PROCESSING", "FAILED"]),
        ("task_empty", ["PROCESSING", "SUCCEED"]),
    ],
)
def test_how_a_task_fares_is_a_scenario_of_its_submission(caller, scenario, states):
    caller.service.next(scenario)
    _, accepted = submit(caller, size="64x64")
    found = [look(caller, accepted["task_id"])[1]["task_status"] for _ in states]
    assert found == states


def test_a_refused_picture_has_the_recorded_shape(caller):
    caller.service.next("task_refused")
    _, accepted = submit(caller)
    look(caller, accepted["task_id"])
    _, failed = look(caller, accepted["task_id"])
    assert failed["errors"] == recorded("content_refused")["errors"]


def test_a_look_can_fail_first(caller):
    caller.service.next("task_trouble:2")
    _, accepted = submit(caller, size="64x64")
    assert [look(caller, accepted["task_id"])[0] for _ in range(3)] == [502, 502, 200]


# --- the files


def unpacked(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels of a PNG file, every checksum checked."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data, size = 8, b"", (0, 0)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", png, at + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    return *size, zlib.decompress(data)


def test_a_picture_is_a_sound_png():
    width, height, pixels = unpacked(draw(Picture("a red fox", 70, 33)))
    assert (width, height) == (70, 33)
    assert len(pixels) == 33 * (1 + 3 * 70)
    assert len(set(pixels)) > 20


def test_the_same_words_draw_the_same_and_others_do_not():
    assert draw(Picture("a cat", 64, 64)) == draw(Picture("a cat", 64, 64))
    pixels = {unpacked(draw(Picture(words, 64, 64, seed)))[2] for words in "ab" for seed in (0, 1)}
    assert len(pixels) == 4


def test_a_colour_that_is_named_is_in_the_picture():
    *_, pixels = unpacked(draw(Picture("a golden cat", 63, 63)))
    middle = pixels[(1 + 3 * 63) * 31 + 1 + 3 * 31 :][:3]
    red, green, blue = middle
    assert red > blue + 80
    assert green > blue + 50


def test_a_picture_tells_what_it_shows_by_its_file_and_by_its_name():
    picture = Picture("一只猫 on a chair", 64, 64, 7)
    assert picture_of(name_of(picture)) == picture
    assert caption_of(f"http://127.0.0.1:1/images/{name_of(picture)}") == "一只猫 on a chair"
    inside = base64.b64encode(draw(picture)).decode()
    assert caption_of(f"data:image/png;base64,{inside}") == "一只猫 on a chair"


@pytest.mark.parametrize(
    "url", ["https://a.example/x.png", "data:image/png;base64,eA==", "data:image/png;base64,?", "x"]
)
def test_a_picture_from_elsewhere_tells_nothing(url):
    assert caption_of(url) is None


def test_a_model_that_sees_says_what_the_picture_shows(caller):
    _, accepted = submit(caller, prompt="a green parrot", size="64x64")
    look(caller, accepted["task_id"])
    (url,) = look(caller, accepted["task_id"])[1]["output_images"]
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    answer = caller.chat([{"role": "user", "content": parts}], model="Qwen/Qwen3.5-122B-A10B")
    assert answer.message["content"] == "The picture shows: a green parrot"


def test_a_sound_is_a_wav_file():
    wav = speak("hello")
    assert (wav[:4], wav[8:12]) == (b"RIFF", b"WAVE")
    assert struct.unpack("<I", wav[4:8])[0] == len(wav) - 8
    assert speak("hello") == wav != speak("other")
