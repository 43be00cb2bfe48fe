"""The token goes into one header, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from modelscope_transport import (
    AsyncClient,
    AuthenticationError,
    Client,
    ConfigurationError,
    ModelScopeError,
    StreamInterruptedError,
)
from modelscope_transport.emulator import SCENARIOS, LocalService, Pause, Raw, Reply, Stream
from tests.transport.callers import Caller, chat_request

JSON = {"content-type": "application/json"}
# Those whose end is the deadline are tried elsewhere; here they would only take their time.
SLOW = {"silence", "stall", "slow", "slow_first_byte", "endless_body", "endless_line", "gzip_bomb"}


@pytest.fixture
def kept(caller: Caller, canary: str) -> Iterator[Caller]:
    """A user whose token nobody may see."""
    caller.service.token = canary
    with caller.but(api_key=canary, max_retries=1, timeout=20, ledger=None) as user:
        yield user


def everything_of(error: BaseException) -> str:
    """All that a log, a crash report or a pickle may hold of an error."""
    told: Any = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown: list[str] = []
    while told is not None:
        # A test's own frames hold the token on purpose.
        shown += [str(frame.locals) for frame in told.stack if "/tests/" not in frame.filename]
        told = told.__cause__ or told.__context__
    details = getattr(error, "details", None)
    return f"{error!r} {error} {vars(error)} {details} {pickle.dumps(error)!r} {shown}"


@pytest.mark.parametrize("scenario", sorted(set(SCENARIOS) - SLOW))
def test_whatever_happens_nobody_sees_the_token(kept: Caller, canary: str, scenario: str) -> None:
    for call in (kept.chat, kept.stream, kept.embed):
        kept.service.next(scenario, scenario)
        try:
            answer: object = call()
        except ModelScopeError as error:
            answer = everything_of(error)
        assert canary not in f"{answer!r}"


# --- a server that repeats it
#
# With another token than the guarded one: httpcore logs a reply's headers at DEBUG as they came.


@pytest.fixture
def mine(caller: Caller) -> Iterator[Caller]:
    """A user whose calls are not remembered."""
    with caller.but(max_retries=1, timeout=20, ledger=None) as user:
        yield user


@pytest.fixture
def token(service: LocalService) -> str:
    return service.token


def test_a_refusal_that_repeats_the_token_is_masked(mine: Caller, token: str) -> None:
    for call in (mine.chat, mine.stream, mine.embed):
        mine.service.next("echo_token")
        with pytest.raises(AuthenticationError) as caught:
            call()
        assert "Bearer ***" in str(caught.value)
        assert token not in everything_of(caught.value)


@pytest.mark.parametrize("name", ["x-request-id", "location", "retry-after", "x-ratelimit-x"])
@pytest.mark.parametrize("status", [400, 307])
def test_a_header_that_repeats_the_token_is_masked(
    mine: Caller, token: str, name: str, status: int
) -> None:
    mine.service.next(Reply(status, b"", {name: f"http://h.example/{token}"}))
    with pytest.raises(ModelScopeError) as caught:
        mine.chat()
    assert token not in everything_of(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("HTTP/1.1 {}\r\n\r\n", id="status line"),
        pytest.param("{} 200 OK\r\n\r\n", id="version"),
        pytest.param("HTTP/1.1 200 OK\r\nbad header {}\r\n\r\n", id="broken header"),
        pytest.param("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", id="length"),
        pytest.param("HTTP/1.1 200 OK\r\ntransfer-encoding: {}\r\n\r\n", id="encoding"),
        pytest.param("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}\r\n", id="chunk"),
        pytest.param("HTTP/1.1 200 OK\r\ncontent-encoding: {}\r\n\r\n", id="compression"),
        pytest.param("{}", id="no HTTP at all"),
    ],
)
def test_bytes_that_repeat_the_token_are_masked(mine: Caller, token: str, raw: str) -> None:
    answer = Raw([raw.format(token).encode()])
    mine.service.next(answer, answer)
    with pytest.raises(ModelScopeError) as caught:
        mine.chat()
    assert token not in everything_of(caught.value)


def test_a_stream_that_repeats_the_token_in_its_middle_is_masked(mine: Caller, token: str) -> None:
    begin = {"choices": [{"delta": {"content": "a"}}]}
    for error in ({"message": f"no {token}"}, f"no {token}", {"message": "no", "code": token}):
        mine.service.next(Stream([begin, {"error": error}]))
        with pytest.raises(ModelScopeError) as caught:
            mine.stream()
        assert token not in everything_of(caught.value)


def test_bytes_that_repeat_the_token_in_a_streams_middle_are_masked(
    mine: Caller, token: str
) -> None:
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    chunk = b"\r\n%x\r\n%s\r\n" % (len(event), event)
    mine.service.next(Raw([head, chunk, Pause(0.05), token.encode() + b"\r\n"]))
    with pytest.raises(StreamInterruptedError) as caught:
        mine.stream()
    assert token not in everything_of(caught.value)


# --- more headers than were meant


@pytest.mark.parametrize(
    "evil", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\x00", "a\u2028b", "ü"]
)
@pytest.mark.parametrize("place", ["token", "default", "extra", "user agent", "name"])
def test_no_header_is_smuggled_in(service: LocalService, evil: str, place: str) -> None:
    options: dict[str, Any] = {"api_key": "ms-1", "base_url": service.base_url}
    asked: dict[str, Any] = {}
    match place:
        case "token":
            options["api_key"] = f"ms-{evil}b"
        case "default":
            options["default_headers"] = {"X-A": evil}
        case "user agent":
            options["default_headers"] = {"User-Agent": evil}
        case "extra":
            asked["extra_headers"] = {"X-A": evil}
        case _:
            asked["extra_headers"] = {evil: "a"}
    with pytest.raises(ConfigurationError) as caught:
        Client(**options).chat(chat_request(**asked))
    assert service.requests == []
    assert "\r" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "host",
        "Content-Length",
        "transfer-encoding",
        "CONNECTION",
        "a b",
        "a:",
        "",
        "(x)",
    ],
)
def test_what_the_client_says_itself_is_not_said_twice(service: LocalService, name: str) -> None:
    with pytest.raises(ConfigurationError, match="The header"):
        Client("ms-1", base_url=service.base_url, default_headers={name: "1"})
    with pytest.raises(ConfigurationError, match="The header"):
        Client("ms-1", base_url=service.base_url).chat(chat_request(extra_headers={name: "1"}))
    assert service.requests == []


def test_a_model_id_is_text_and_no_header(caller: Caller) -> None:
    with pytest.raises(ModelScopeError):
        caller.chat(model="a/b\r\nX-Evil: 1")
    assert caller.requests == 0
    caller.service.next("no_provider")
    with pytest.raises(ModelScopeError):
        caller.chat(model='a/b"},"x":{"y":"z')
    assert json.loads(caller.service.requests[0].content)["model"] == 'a/b"},"x":{"y":"z'


def test_of_headers_that_differ_in_case_one_is_sent(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url, default_headers={"X-Team": "a"})
    client.chat(chat_request(extra_headers={"x-team": "b", "USER-AGENT": "c"}))
    headers = service.requests[0].headers
    assert (headers["x-team"], headers["user-agent"]) == ("b", "c")
    client.close()


# --- a token that comes back in another form of writing


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("".join, id="as it is"),
        pytest.param(lambda token: "".join(f"\\u{ord(sign):04x}" for sign in token), id="escapes"),
        pytest.param(lambda token: f"\\u{ord(token[0]):04X}" + token[1:], id="one escape"),
        pytest.param(lambda token: token.replace("/", "\\/"), id="slashes"),
    ],
)
def test_a_token_in_json_escapes_is_masked(
    caller: Caller, written: Any, service: LocalService
) -> None:
    token = service.token = "ms-ab/cd/ef-0123456789"
    with caller.but(api_key=token, max_retries=0, ledger=None) as user:
        for status, body in (
            (200, '{"error": {"message": "no %s"}}'),
            (401, '{"error": {"message": "no %s"}}'),
            (200, '{"errors": "no %s"}'),
            (401, '{"message": "%s"}'),
        ):
            service.next(Reply(status, (body % written(token)).encode(), JSON))
            with pytest.raises(ModelScopeError, match=r"\*\*\*") as caught:
                user.chat()
            assert token not in everything_of(caught.value)
        begin = '{"choices": [{"delta": {"content": "a"}}]}'
        wire = f'data: {begin}\n\ndata: {{"error": {{"message": "no {written(token)}"}}}}\n\n'
        service.next(Reply(200, wire.encode(), {"content-type": "text/event-stream"}))
        with pytest.raises(StreamInterruptedError, match=r"\*\*\*") as interrupted:
            user.stream()
        assert token not in everything_of(interrupted.value)


# --- credentials besides the token

PASSWORD, VALUE = "open-sesame-0815", "key-of-the-gateway-4711"
PROXY = f"http://me:{PASSWORD}@127.0.0.1:9"


def unseen(shown: str) -> None:
    for secret in (PASSWORD, VALUE, "bWU6b3Blbi1zZXNhbWUtMDgxNQ"):
        assert secret not in shown


def secretive(**options: Any) -> Client:
    made = {"proxy": PROXY, "default_headers": {"X-Gateway": VALUE}, "ledger": None, **options}
    return Client("ms-1", **made)


def test_nothing_shows_the_proxys_password_or_a_headers_value() -> None:
    client = secretive()
    options, settings = client._core.options, client._core.settings
    for holder in (client, client.aio, options, settings, client._core.redact):
        unseen(f"{holder!r} {holder} {holder!r:>10} {[holder]}")
    for holder in (client, client.aio, options):
        unseen(repr(pickle.dumps(holder)))
    for values in (vars(client), vars(client._core), options.default_headers, settings.headers):
        unseen(repr(values))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_no_error_shows_the_proxys_password_or_a_headers_value(asynchronous: bool) -> None:
    client = secretive(max_retries=0, base_url="https://h.example/v1")

    def call() -> object:
        if asynchronous:
            return asyncio.run(client.aio.chat(chat_request()))
        return client.chat(chat_request())

    with pytest.raises(ModelScopeError) as caught:
        call()
    unseen(everything_of(caught.value))


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "nonsense"},
        {"timeout": -1},
        {"concurrency": "many"},
        {"proxy": f"se://me:{PASSWORD}@h"},
        {"default_headers": {"X-Gateway": VALUE + "\n"}},
        {"default_headers": {"a b": VALUE}},
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_options_that_are_refused_show_no_credential(kind: Any, options: dict[str, Any]) -> None:
    made = {"proxy": PROXY, "default_headers": {"X-Gateway": VALUE}, "ledger": None, **options}
    with pytest.raises(ConfigurationError) as caught:
        _ = kind("ms-1", **made)._core.driver  # a proxy is taken apart when it is first needed
    unseen(everything_of(caught.value))


def test_a_server_that_repeats_a_headers_value_or_the_proxys_password_is_masked(
    caller: Caller,
) -> None:
    proxy = caller.service.root_url.replace("http://", f"http://me:{PASSWORD}@")
    options = {"proxy": proxy, "default_headers": {"X-Gateway": VALUE}, "ledger": None}
    with caller.but(max_retries=0, **options) as user:
        said = {"error": {"message": f"{VALUE} and {PASSWORD}", "code": VALUE}}
        user.service.next(Reply(400, json.dumps(said).encode(), JSON))
        with pytest.raises(ModelScopeError, match=r"\*\*\* and \*\*\*") as caught:
            user.chat()
    unseen(everything_of(caught.value))


def test_a_server_that_repeats_a_value_of_a_calls_own_headers_is_masked(caller: Caller) -> None:
    own = {"X-Gateway": f" {VALUE} "}  # the blanks are not sent
    said = {"error": {"message": f"no {VALUE}", "code": VALUE}}
    begin = 'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
    wire = f"{begin}data: {json.dumps(said)}\n\n".encode()
    refusal = Reply(400, json.dumps(said).encode(), JSON)
    broken = Reply(200, wire, {"content-type": "text/event-stream"})
    with caller.but(max_retries=0, ledger=None) as user:
        for reply, call in (
            (refusal, user.chat),
            (refusal, user.stream),
            (refusal, user.embed),
            (broken, user.stream),
        ):
            user.service.next(reply)
            with pytest.raises(ModelScopeError, match=r"no \*\*\*") as caught:
                call(extra_headers=own)
            error = caught.value
            unseen(f"{error!r} {error} {error.details} {error.__cause__!r} {pickle.dumps(error)!r}")


@pytest.mark.parametrize("place", ["default_headers", "extra_headers"])
@pytest.mark.parametrize("way", ["own", "given", "proxy"])
def test_blanks_around_a_headers_value_are_not_sent(caller: Caller, way: str, place: str) -> None:
    headers = {"X-Gateway": f" {VALUE} "}
    options: dict[str, Any] = {"ledger": None, "max_retries": 0}
    with httpx.Client() as http:
        if way == "given":
            options["http_client"] = http
        elif way == "proxy":
            options["proxy"] = caller.service.root_url
        if place == "default_headers":
            options[place] = headers
        with caller.but(**options) as user:
            user.chat(**({place: headers} if place == "extra_headers" else {}))
    assert caller.service.requests[-1].headers["x-gateway"] == VALUE


@pytest.mark.parametrize("headers", [{5: "x"}, {None: "x"}, {b"x": "x"}])
def test_a_header_whose_name_is_no_text_is_refused(caller: Caller, headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be sent"):
        caller.chat(extra_headers=headers)
    with pytest.raises(ConfigurationError, match="cannot be sent"):
        Client("ms-1", default_headers=headers)


@pytest.mark.parametrize("before", [470, 494])
def test_half_a_token_at_the_end_of_a_long_message_is_masked(caller: Caller, before: int) -> None:
    token = caller.service.token
    said = {"error": {"message": "x" * before + token, "code": "y" * 180 + token}}
    with caller.but(max_retries=0, ledger=None) as user:
        user.service.next(Reply(400, json.dumps(said).encode(), JSON))
        with pytest.raises(ModelScopeError) as caught:
            user.chat()
    details = caught.value.details
    assert token[:4] not in f"{details.server_message} {details.code}"


# --- a token that is refused


@pytest.mark.parametrize("form", ["{} x", "{}\nx", "ｍs-{}", "Bearer {}", "{}\x00"])
@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_refused_token_is_in_no_frame(kind: Any, form: str, by_name: bool) -> None:
    token = form.format("ms-" + "secret-" * 3)
    with pytest.raises(ConfigurationError) as caught:
        kind(*(() if by_name else (token,)), **({"api_key": token} if by_name else {}))
    frame = caught.value.__traceback__
    assert frame is not None
    frame = frame.tb_next  # this test's own frame holds it on purpose
    seen = 0
    while frame is not None:
        shown = repr(frame.tb_frame.f_locals)
        assert "secret-" not in shown, frame.tb_frame.f_code
        frame, seen = frame.tb_next, seen + 1
    assert seen >= 2
    assert "secret-" not in f"{caught.value!r} {caught.value.__context__!r}"
