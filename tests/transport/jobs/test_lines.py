"""What a job reads and writes: plain text, the short form, OpenAI's batch lines; packed or not."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelscope_transport import (
    Batch,
    BatchReport,
    ChatRequest,
    Client,
    ConfigurationError,
    EmbeddingRequest,
    ImagePart,
    Message,
    TextPart,
    iter_results,
    read_results,
)
from modelscope_transport.emulator import LocalService, Reply
from modelscope_transport.jobs.answer_schema import AnswerSchema
from modelscope_transport.jobs.lines import LineReader
from modelscope_transport.jobs.results import ResultsFile
from modelscope_transport.jobs.rows import BatchRow

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
EMBEDDER = "Qwen/Qwen3-Embedding-0.6B"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def client(modelscope_service: LocalService) -> Client:
    service = modelscope_service
    return Client(service.token, base_url=service.base_url, ledger="memory")


def line(custom_id: str, url: str = "/v1/chat/completions", **body: Any) -> dict[str, Any]:
    body = {"model": QWEN, "messages": [{"role": "user", "content": custom_id}]} | body
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def embedding(custom_id: str, texts: list[str]) -> dict[str, Any]:
    body = {"model": EMBEDDER, "input": texts, "dimensions": 4, "encoding_format": "float"}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/embeddings", "body": body}


def written(path: Path, lines: list[Any]) -> Path:
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def questions(path: Path, **options: Any) -> dict[str, ChatRequest | EmbeddingRequest]:
    return dict(LineReader(path, **options))


def test_a_line_of_openai_is_read_field_by_field(tmp_path: Path) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    whole = line(
        "a",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}],
        temperature=0.5,
        max_completion_tokens=9,
        stop="end",
        stream=True,
        tools=[
            {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
        ],
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_object"},
        unheard_of=3,
    )
    path = written(tmp_path / "in.jsonl", [whole, embedding("b", ["one", "two"])])
    reader = LineReader(path)
    checked = reader.check()
    assert (checked.items, checked.form, checked.bad) == (2, "openai", [])
    asked = questions(path)
    chat, vectors = asked["a"], asked["b"]
    assert isinstance(chat, ChatRequest)
    assert chat.messages[1].content == (TextPart("What is this?"), ImagePart(PIXEL, "low"))
    assert (chat.temperature, chat.max_tokens, chat.stop) == (0.5, 9, ("end",))
    assert chat.tools[0].name == "look"
    assert chat.extra_body == {"unheard_of": 3}
    assert vectors == EmbeddingRequest(model=EMBEDDER, texts=("one", "two"), dimensions=4)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_results_have_the_form_of_openai_and_are_found_again(
    client: Client, modelscope_service: LocalService, tmp_path: Path, suffix: str
) -> None:
    modelscope_service.next("honest", "context_length")
    lines = [line("a"), line("b"), embedding("c", ["one", "two"]), line("d")]
    asked = questions(written(tmp_path / "in.jsonl.gz", lines))
    out = tmp_path / f"out.jsonl{suffix}"
    report = Batch(client, out, form="openai").run(asked)
    assert report == BatchReport(items=4, answered=3, failed=1)

    text = gzip.decompress(out.read_bytes()) if suffix else out.read_bytes()
    results = {each["custom_id"]: each for each in map(json.loads, text.splitlines())}
    assert [sorted(each) for each in results.values()] == [
        ["custom_id", "error", "id", "response"]
    ] * 4
    assert len({each["id"] for each in results.values()}) == 4
    body = results["a"]["response"]["body"]
    assert results["a"]["response"]["status_code"] == 200
    assert body["choices"][0]["message"]["content"] == "You said: “a”."
    assert body["usage"]["total_tokens"] > 0
    assert results["b"]["response"] is None
    assert results["b"]["error"]["code"] == "ContextLengthError"
    assert [len(each["embedding"]) for each in results["c"]["response"]["body"]["data"]] == [4, 4]

    again = Batch(client, out).run(asked)  # the file keeps its form
    assert again == BatchReport(items=4, kept=3, failed=1)
    rows = read_results(out)
    assert rows["a"].text == "You said: “a”."
    assert rows["c"].embedding is not None
    changed = asked | {"a": msgspec.structs.replace(asked["a"], timeout=9.0)}
    assert Batch(client, out).run(changed).kept == 3
    asked["a"] = ChatRequest(model=QWEN, messages=(Message("user", "Other."),))
    assert Batch(client, out).run(asked).answered == 1
    assert {row.key: row.text for row in iter_results(out)}["a"] == "You said: “Other.”."


def test_every_bad_line_is_listed_with_its_number(tmp_path: Path) -> None:
    lines = [
        line("a"),
        "",
        line("a"),
        '{"custom_id": "half',
        line("b", url="/v1/responses"),
        {"custom_id": 7, "url": "/v1/embeddings", "body": {}},
        embedding("c", []),
        line("d", messages=[]),
        line("e", temperature="warm"),
        line("f", messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
        {"key": "g", "promt": "x"},
        "plain text",
        line("h"),
    ]
    path = written(tmp_path / "in.jsonl", lines)
    bad = LineReader(path).check().bad
    assert [each.number for each in bad] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert "line 1" in bad[0].why
    assert "/v1/responses" in bad[2].why
    assert "promt" in bad[8].why
    assert "--model" in bad[9].why
    assert list(questions(path)) == ["a", "h"]


def test_plain_text_is_embedded_where_the_model_embeds(tmp_path: Path) -> None:
    path = written(tmp_path / "in.txt", ["one", '{"input": ["two", "three"], "key": "k"}'])
    assert questions(path, model=EMBEDDER) == {
        "1": EmbeddingRequest(model=EMBEDDER, texts=("one",)),
        "k": EmbeddingRequest(model=EMBEDDER, texts=("two", "three")),
    }


BROKEN = gzip.compress(b"What is 2 plus 3?\n" * 9, mtime=0)[:12] + b"\xff" * 20


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_wrong_with_a_line_is_part_of_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("MODELSCOPE_LANG", language)
    nameless = line("b")
    del nameless["body"]["model"]
    bad = [line("a", messages=[]), nameless, line("c", url="/v1/responses"), '{"prompt": "d"}']
    bad.append(line("e", messages=[{"role": "usr", "content": "x"}]))
    reader = LineReader(written(tmp_path / "in.jsonl", bad))
    empty, no_model, url, no_model_either, role = [each.why for each in reader.check().bad]
    assert role.lower().startswith("字段的值不对（" if language == "zh" else "a field has")
    for why in (empty, no_model, url, role):
        assert not why.endswith((".", "。"))
        assert "docs/" not in why
    assert "--model" in no_model
    assert no_model == no_model_either


@pytest.mark.parametrize("content", [None, b"\x1f\x8b\x08", b"no gzip", BROKEN])
def test_a_file_that_cannot_be_read_is_one_error_of_ours(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "in.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        LineReader(path).check()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_can_be_read_once_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ConfigurationError, match="into a file first"):
        LineReader(path, QWEN).check()


def test_a_first_line_that_is_no_text_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"prompt": "\xff"}\n{"\xff": 1}\n')
    assert [bad.number for bad in LineReader(path, QWEN).check().bad] == [1, 2]
    path.write_bytes(b'{"\xff": 1}\n')
    assert LineReader(path, QWEN).check().form == "short"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_is_refused_as_a_whole(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "in.txt"
    path.write_text("\ufeff" * encoding.endswith("be") + "What is 2?\nWhat is 3?\n", encoding)
    with pytest.raises(ConfigurationError, match="UTF-16"):
        LineReader(path, QWEN).check()


@pytest.mark.parametrize(
    "text",
    ['[{"prompt": "a"}]', '\n[\n{"prompt": "a"},\n{"prompt": "b"}\n]', '[ {\n"prompt": "a"}]'],
)
def test_one_array_of_questions_is_no_file_of_lines(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="one JSON array"):
        LineReader(written(tmp_path / "in.json", [text]), QWEN).check()


def test_a_question_may_begin_with_a_bracket(tmp_path: Path) -> None:
    path = written(tmp_path / "in.txt", ["[1] What is meant here?", "[", "['a', 'b'] in Python?"])
    assert list(questions(path, model=QWEN)) == ["1", "2", "3"]
    assert LineReader(path, QWEN).check().items == 3


def test_a_misspelt_field_is_said_with_those_that_there_are(tmp_path: Path) -> None:
    [bad] = LineReader(written(tmp_path / "in.jsonl", [{"question": "a"}]), QWEN).check().bad
    assert "'question'" in bad.why
    assert "prompt, messages, input, key, model" in bad.why


# ------------------------------------------------------------------------------------ the file


def row(key: str) -> BatchRow:
    return BatchRow(key=key, fingerprint="ab" * 20)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
@pytest.mark.parametrize("cut", [2, 7, 20])
def test_a_line_that_was_cut_is_taken_off(tmp_path: Path, name: str, cut: int) -> None:
    path = tmp_path / name
    with ResultsFile(path) as file:
        file.add(row("a"))
        file.add(row("b"))
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(read_results(path)) == ["a"]
    with ResultsFile(path) as file:
        assert list(file.known) == ["a"]
        file.add(row("b"))
    assert [each.key for each in iter_results(path)] == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_is_no_regular_file_takes_no_answers(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path()):
        with pytest.raises(ConfigurationError, match="not a regular file"), ResultsFile(path):
            pass
    assert list(tmp_path.iterdir()) == [pipe]  # and nothing beside it


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with ResultsFile(path) as file:
        file.add(row("a"))
        before = path.read_bytes()
        file._file.close()
        file._file = open("/dev/full", "r+b", buffering=0)  # type: ignore[assignment] # noqa: SIM115
        with pytest.raises(ConfigurationError, match="No space left"):
            file.add(row("b"))
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_one_error_of_ours(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Batch(client, tmp_path / "file" / "out.jsonl").run({})


# ------------------------------------------------------------------------------------- in code


def test_an_async_iterable_is_read_as_the_job_goes_on(client: Client, tmp_path: Path) -> None:
    async def pairs() -> AsyncIterator[tuple[str, ChatRequest]]:
        for number in range(20):
            yield str(number), ChatRequest(model=QWEN, messages=(Message("user", f"{number}"),))

    batch = Batch(client, tmp_path / "out.jsonl", workers=3)
    assert batch.run(pairs()) == BatchReport(items=20, answered=20)
    assert batch.report.answered == 20
    assert sorted(int(each.key) for each in batch.results()) == list(range(20))


def test_a_list_with_a_double_name_costs_nothing(
    client: Client, modelscope_service: LocalService, tmp_path: Path
) -> None:
    request = ChatRequest(model=QWEN, messages=(Message("user", "x"),))
    with pytest.raises(ConfigurationError, match="comes twice"):
        Batch(client, tmp_path / "out.jsonl").run([("a", request), ("b", request), ("a", request)])
    assert not modelscope_service.requests


def test_map_asks_one_question_for_each_text_and_keeps_their_order(
    client: Client, modelscope_service: LocalService, tmp_path: Path
) -> None:
    def texts() -> Iterator[str]:
        yield from ("one {x}", "two", "three")

    batch = Batch(client, tmp_path / "out.jsonl", workers=3)
    rows = batch.map(texts(), "Translate: {text}", model=QWEN, temperature=0)
    assert [each.text for each in rows] == [
        f"You said: “Translate: {text}”." for text in ("one {x}", "two", "three")
    ]
    assert modelscope_service.requests[0].body["temperature"] == 0
    vectors = Batch(client, tmp_path / "vectors.jsonl").map(texts(), model=EMBEDDER, dimensions=4)
    assert [each.embedding is not None for each in vectors] == [True] * 3
    with pytest.raises(ConfigurationError, match="text"):
        batch.map(texts(), "Translate.", model=QWEN)


class Person(msgspec.Struct):
    name: str
    age: int


def test_an_answer_that_is_no_object_of_the_schema_is_a_failure_of_its_own(
    client: Client, modelscope_service: LocalService, tmp_path: Path
) -> None:
    def answers(text: str) -> dict[str, Any]:
        return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}

    modelscope_service.next(
        Reply(200, answers('{"name": "Li", "age": 30}')), Reply(200, answers('{"name": "Li"}'))
    )
    path = tmp_path / "out.jsonl"
    batch = Batch(client, path, schema=Person)
    asked = {
        key: ChatRequest(model=QWEN, messages=(Message("user", key),)) for key in ("good", "bad")
    }
    assert batch.run(asked) == BatchReport(items=2, answered=1, failed=1)
    seen = [request.body for request in modelscope_service.requests]
    assert "age" in json.dumps(seen[0])
    rows = read_results(path)
    assert rows["good"].failure is None
    assert rows["bad"].failure is not None
    assert rows["bad"].failure.error == "SchemaMismatch"
    assert rows["bad"].text == '{"name": "Li"}'  # it was paid for
    assert batch.run(asked) == BatchReport(items=2, kept=1, failed=1)


class Weight(msgspec.Struct):
    kilograms: float


def test_a_number_that_no_float_holds_does_not_fit_a_schema() -> None:
    with pytest.raises(ValueError, match="fits the schema"):
        AnswerSchema(Weight).read(f'{{"kilograms": {10**400}}}')
