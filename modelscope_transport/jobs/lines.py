"""The lines of a job's input: plain text, the short form, or OpenAI's batch lines.

Laws of this file: the file is read line by line, as often as needed, and never held whole; what can
be read once only, such as a pipe, is refused. A line that is not a question becomes a `BadLine`
with its number and ends nothing; the caller decides. The form of the first line that holds anything
is that of the file; lines of the other two forms may stand between them.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from .._wire import batch_lines
from ..catalogue.models import profile_for
from ..errors import ConfigurationError, InvalidRequestError
from ..language import marked as _N
from ..language import translated as _
from ..types import ChatRequest, EmbeddingRequest, Message
from .rows import Form

__all__ = ["BadLine", "Checked", "Line", "LineReader"]


class Line(Struct, frozen=True):
    """A question.

    Attributes:
        number: its line, from 1.
        key: its name: ``custom_id`` or ``key``, else the number.
        request: what is asked.
    """

    number: int
    key: str
    request: ChatRequest | EmbeddingRequest


class BadLine(Struct, frozen=True):
    """A line that is not a question, or whose name has come before.

    Attributes:
        number: its line, from 1.
        why: what is wrong with it.
    """

    number: int
    why: str


class Checked(Struct, kw_only=True):
    """What a file of questions holds.

    Attributes:
        items: questions in it.
        form: the form of results that fits it.
        models: questions by model.
        texts: texts to embed by model.
        bad: the lines that are not questions.
    """

    items: int = 0
    form: Form = "short"
    models: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    bad: list[BadLine] = field(default_factory=list)


class _Short(Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A line of the short form; a misspelt field is an error, not silence."""

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    input: str | list[str] | None = None
    key: str | int | None = None
    model: str | None = None
    dimensions: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    extra_body: dict[str, Any] | None = None


_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ARRAY = re.compile(rb"\[\s*(\{|$)")
_OURS = ("prompt", "key", "extra_body")
_OPENAI = ("custom_id", "url", "method", "body")
_read_short = msgspec.json.Decoder(_Short).decode
_read_openai = msgspec.json.Decoder(batch_lines.RequestLine).decode
_read_text = msgspec.json.Decoder(str).decode
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class LineReader:
    """Reads a file of questions.

    Args:
        path: the file; one whose name ends in ``.gz`` is unpacked.
        model: model ID for lines that name none. One for embeddings embeds lines of plain text.
        system: a message put before every chat.
    """

    def __init__(self, path: Path, model: str | None = None, system: str | None = None) -> None:
        """Open nothing yet."""
        self._path = path
        self._model = model
        self._before = () if system is None else (Message("system", system),)

    def check(self) -> Checked:
        """Read the whole file, and say what it holds.

        Raises:
            ConfigurationError: it cannot be read, or holds UTF-16 text or one JSON array.
        """
        first = next((raw for raw in map(bytes.strip, self._raw()) if raw), b"")
        if first.startswith(_UTF_16):
            said = _("{path} is text in UTF-16, as PowerShell writes it. Save it as UTF-8.")
            raise ConfigurationError(said.format(path=self._path))
        if _ARRAY.match(first):
            said = _(
                "{path} is one JSON array. Write each object of it on a line of its own, "
                "without the brackets and commas: jq -c '.[]' does that."
            )
            raise ConfigurationError(said.format(path=self._path))
        checked = Checked(form=_form(first))
        for line in self._lines():
            if isinstance(line, BadLine):
                checked.bad.append(line)
                continue
            checked.items += 1
            checked.models[line.request.model] += 1
            if isinstance(line.request, EmbeddingRequest):
                checked.texts[line.request.model] += len(line.request.texts)
        return checked

    def __iter__(self) -> Iterator[tuple[str, ChatRequest | EmbeddingRequest]]:
        """The questions of the good lines, by their names.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        for line in self._lines():
            if isinstance(line, Line):
                yield line.key, line.request

    def _lines(self) -> Iterator[Line | BadLine]:
        seen: dict[str, int] = {}
        for number, raw in enumerate(self._raw(), 1):
            if not (raw := raw.strip()):
                continue
            line = self._line(number, raw)
            if isinstance(line, Line):
                first = seen.setdefault(line.key, number)
                if first != number:
                    line = BadLine(
                        number,
                        _("the name {key!r} is that of line {first} too").format(
                            key=line.key, first=first
                        ),
                    )
            yield line

    def _raw(self) -> Iterator[bytes]:
        opened = gzip.open if self._path.suffix == ".gz" else open
        try:
            if self._path.exists() and not (self._path.is_file() or self._path.is_dir()):
                raise ConfigurationError(
                    _(
                        "{path} can be read once only, and the questions are read more often. "
                        "Copy them into a file first."
                    ).format(path=self._path)
                )
            with opened(self._path, "rb") as lines:
                for number, line in enumerate(lines):
                    yield line if number else line.removeprefix(b"\xef\xbb\xbf")
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigurationError(
                _("{path} cannot be read: {cause}. Name a file of questions, one a line.").format(
                    path=self._path, cause=getattr(error, "strerror", None) or error
                )
            ) from None

    def _line(self, number: int, raw: bytes) -> Line | BadLine:
        try:
            if raw.startswith(b"{"):
                fields = _read_object(raw)
                if any(name in fields for name in _OPENAI):
                    return self._of_openai(number, raw)
                for name in sorted(fields.keys() - set(_Short.__struct_fields__)):
                    said = _("the field {name!r} is not known; known are {known}")
                    known = ", ".join(_Short.__struct_fields__)
                    return BadLine(number, said.format(name=name, known=known))
                return self._of_short(number, raw)
            text = _read_text(raw) if raw.startswith(b'"') else raw.decode("utf-8")
        except UnicodeDecodeError:
            return BadLine(number, _("it is not UTF-8 text"))
        except msgspec.ValidationError as error:
            return BadLine(number, _("a field has a wrong value ({error})").format(error=error))
        except msgspec.DecodeError as error:
            return BadLine(number, _("it is not valid JSON ({error})").format(error=error))
        except (InvalidRequestError, _NoQuestion) as error:
            # Not str(error), which ends with the address of a page: this is put into a sentence.
            return BadLine(number, Exception.__str__(error).rstrip(".。"))
        return self._of_text(number, text)

    def _of_text(self, number: int, text: str) -> Line | BadLine:
        if not text or text.isspace():
            return BadLine(number, _(_NO_QUESTION))
        if self._model is None:
            return BadLine(number, _(_NO_MODEL))
        if profile_for(self._model).task == "embedding":
            return Line(number, str(number), EmbeddingRequest(model=self._model, texts=(text,)))
        return Line(number, str(number), self._chat(self._model, {}, text))

    def _of_short(self, number: int, raw: bytes) -> Line:
        read = _read_short(raw)
        prompt = read.prompt if read.prompt and not read.prompt.isspace() else None
        asked = [prompt is not None, bool(read.messages), read.input is not None]
        if sum(asked) != 1:
            raise _NoQuestion(_(_NO_QUESTION))
        body = {
            name: value
            for name, value in msgspec.structs.asdict(read).items()
            if value is not None and name not in _OURS
        }
        model = read.model or self._model
        if model is None:
            raise _NoQuestion(_(_NO_MODEL))
        key = str(number if read.key is None else read.key)
        body.update(read.extra_body or {}, model=model)
        if read.input is not None:
            return Line(number, key, batch_lines.read_request(batch_lines.EMBEDDINGS_URL, body))
        return Line(number, key, self._chat(model, body, prompt))

    def _of_openai(self, number: int, raw: bytes) -> Line:
        read = _read_openai(raw)
        if read.method.upper() != "POST":
            raise _NoQuestion(
                _("method must be POST, and is {method!r}").format(method=read.method)
            )
        body = read.body if self._model is None else {"model": self._model} | read.body
        if body.get("model") is None:
            raise _NoQuestion(_(_NO_MODEL))
        request = batch_lines.read_request(read.url, body)
        if isinstance(request, ChatRequest) and self._before:
            request = msgspec.structs.replace(request, messages=self._before + request.messages)
        return Line(number, read.custom_id, request)

    def _chat(self, model: str, body: dict[str, Any], prompt: str | None) -> ChatRequest:
        if prompt is not None:
            body = {**body, "messages": [{"role": "user", "content": prompt}], "model": model}
        request = batch_lines.chat_request(body)
        return msgspec.structs.replace(request, messages=self._before + request.messages)


def _form(first: bytes) -> Form:
    try:
        fields = _read_object(first)
    except ValueError:  # msgspec.DecodeError or UnicodeDecodeError
        return "short"
    return "openai" if "custom_id" in fields else "short"


class _NoQuestion(ValueError):
    """A line that can be read, but asks nothing."""


_NO_MODEL = _N("it names no model; name one with --model")
_NO_QUESTION = _N("it needs a prompt, messages or an input, one of them")
