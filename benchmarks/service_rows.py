"""More rows of langchain_features.py: the service's own ways, and manners in a program.

As in feature_rows.py, a row is a function that does one thing with what a `Side` makes and judges
what came of it.
"""

from __future__ import annotations

import asyncio
import pickle

from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField

from benchmarks.features import HYBRID, Outcome, Side, row

# --- the service's own ways -------------------------------------------------------------------


@row("invoke on a model that only streams")
def _stream_only(side: Side) -> Outcome:
    return Outcome(bool(side.chat("Qwen/QwQ-32B").invoke("Hello").text), "answered")


@row("requests on a spent allowance")
def _spent(side: Side) -> Outcome:
    side.service.next(*["account_spent"] * 10)
    for _ in range(2):
        try:
            side.chat().invoke("Hello")
        except Exception as error:  # noqa: BLE001 - whichever class it is
            last = error
    sent = len(side.service.requests)
    return Outcome(sent == 1, f"{sent} for two calls, {type(last).__name__}")


@row("a spent allowance says until when")
def _until(side: Side) -> Outcome:
    side.service.next(*["model_spent"] * 10)
    try:
        side.chat().invoke("Hello")
    except Exception as error:  # noqa: BLE001 - whichever class it is
        return Outcome("comes back at" in str(error), str(error)[:34] + "…")
    return Outcome(False, "no error")


@row("what is left today, without a request")
def _left(side: Side) -> Outcome:
    model = side.chat()
    model.invoke("Hello")
    left = model.quota
    told = f"{left.remaining:g} of {left.limit:g} {left.unit}, {left.kind}"
    return Outcome(len(side.service.requests) == 1, told)


@row("which model answered, and why not another")
def _stand_in(side: Side) -> Outcome:
    side.service.next("model_spent")
    answer = side.chat(fallback_models=[HYBRID]).invoke("Hello")
    told = answer.response_metadata["modelscope"]
    return Outcome(told["model"] == HYBRID, f"{told['fallback_reason']}: {told['model']}")


@row("an empty success, once")
def _shell(side: Side) -> Outcome:
    side.service.next("shell")
    return Outcome(bool(side.chat().invoke("Hello").text), "answered at the second try")


@row("a stream that is cut")
def _cut(side: Side) -> Outcome:
    side.service.next("cut:3")
    try:
        said = side.stream(side.chat()).text
    except Exception as error:  # noqa: BLE001 - whichever class it is
        return Outcome(hasattr(error, "partial"), f"{type(error).__name__}")
    return Outcome(False, f"taken for whole: {said!r}")


@row("a limit reported in mid-stream")
def _late_limit(side: Side) -> Outcome:
    side.service.next("throttled_later:3")
    try:
        side.stream(side.chat())
    except Exception as error:  # noqa: BLE001 - whichever class it is
        name = type(error).__name__
        told = getattr(error, "reason", None) == "too_fast"
        return Outcome(told or "RateLimit" in name, name)
    return Outcome(False, "not noticed")


@row("U+2028 in an answer")
def _separator(side: Side) -> Outcome:
    side.service.next("line_separator")
    return Outcome("\u2028" in side.stream(side.chat()).text, "kept")


# --- citizenship ------------------------------------------------------------------------------


@row("two event loops, one after the other")
def _loops(side: Side) -> Outcome:
    model = side.chat(max_retries=0)
    for _ in range(2):
        asyncio.run(model.ainvoke("Hello"))
    return Outcome(True, "both answered")


@row("a model with configurable fields streams")
def _configured(side: Side) -> Outcome:
    model = side.chat().configurable_fields(temperature=ConfigurableField(id="heat"))
    chunks = list(model.stream("Hello", {"configurable": {"heat": 0.5}}))
    return Outcome(len(chunks) > 3, f"{len(chunks)} chunks")


@row("connections of streams in turn")
def _connections(side: Side) -> Outcome:
    server = side.service._server
    assert server is not None
    model, opened = side.chat(), set()
    list(model.stream("Hello"))
    before = set(server.connections)
    for _ in range(20):
        list(model.stream("Hello"))
        opened |= set(server.connections) - before
    return Outcome(not opened, "a new one each" if opened else "one for all")


@row("an error in a pickle")
def _pickled_error(side: Side) -> Outcome:
    side.service.next(*["authentication_failed"] * 5)
    try:
        side.chat().invoke("Hello")
    except Exception as error:  # noqa: BLE001 - whichever class it is
        again = pickle.loads(pickle.dumps(error))
        return Outcome(str(again) == str(error), "comes back whole")
    return Outcome(False, "no error")


@row("the token in dumps, repr and pickle")
def _token(side: Side) -> Outcome:
    model = side.chat()
    token = side.service.token
    try:
        pickled = token.encode() in pickle.dumps(model)
    except Exception as error:  # noqa: BLE001 - whichever class it is
        return Outcome(False, f"no pickle: {type(error).__name__}")
    shown = token in dumps(model) + repr(model)
    return Outcome(not (pickled or shown), "in the pickle" if pickled else "nowhere")


@row("counting tokens without a download")
def _tokens(side: Side) -> Outcome:
    counted = side.chat().get_num_tokens_from_messages([HumanMessage("Hello there")])
    return Outcome(0 < counted < 20, f"{counted}")


@row("size of the window, for agents")
def _profile(side: Side) -> Outcome:
    profile = side.chat().profile or {}
    return Outcome("max_input_tokens" in profile, str(profile.get("max_input_tokens")))


@row("embeddings")
def _embed(side: Side) -> Outcome:
    vectors = side.embeddings().embed_documents(["one", "two"])
    return Outcome(len(vectors) == 2, f"{len(vectors)} vectors")
