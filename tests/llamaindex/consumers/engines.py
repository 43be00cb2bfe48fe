"""Query engines and chat engines."""

from __future__ import annotations

from typing import Any

from llama_index.core import PromptTemplate
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import CondenseQuestionChatEngine, SimpleChatEngine
from llama_index.core.indices.query.query_transform import (
    HyDEQueryTransform,
    StepDecomposeQueryTransform,
)
from llama_index.core.query_engine import (
    CitationQueryEngine,
    MultiStepQueryEngine,
    RetrieverQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
    TransformQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.selectors import LLMSingleSelector, PydanticSingleSelector
from llama_index.core.tools import QueryEngineTool
from pydantic import BaseModel

from .kit import QUESTION, TEXTS, Kit, Register

consumer = Register()

HISTORY = [ChatMessage("My cat is called Mimi."), ChatMessage(role="assistant", content="Nice.")]


class Fact(BaseModel):
    """What is known of a city."""

    city: str
    country: str


# --- query engines: every response mode: sync and async, whole and streamed

# mode: requests after the index and the question's vector; both passages fit one call but for
# the modes that take them one by one
MODES = {
    ResponseMode.REFINE: 2,
    ResponseMode.COMPACT: 1,
    ResponseMode.SIMPLE_SUMMARIZE: 1,
    ResponseMode.TREE_SUMMARIZE: 1,
    ResponseMode.GENERATION: 1,
    ResponseMode.ACCUMULATE: 2,
    ResponseMode.COMPACT_ACCUMULATE: 1,
}
# the mode that looks at no passage gets them in the question
TOLD = f"Query: {QUESTION}\nContext: Paris is the capital of France. {TEXTS[1]}\n"
STREAMED = tuple(mode for mode in MODES if "accumulate" not in mode)  # core streams no others


def engine(kit: Kit, **options: Any) -> Any:
    return kit.index().as_query_engine(llm=kit.llm, similarity_top_k=2, **options)


def _enter_modes() -> None:
    for mode, calls in MODES.items():
        answer = "Berlin is the capital"
        facts = {"requests": 2 + calls, "before": 2}

        question = TOLD if mode is ResponseMode.GENERATION else QUESTION

        def query(kit: Kit, mode: ResponseMode = mode, question: str = question) -> Any:
            return engine(kit, response_mode=mode).query(question)

        async def aquery(kit: Kit, mode: ResponseMode = mode, question: str = question) -> Any:
            return await engine(kit, response_mode=mode).aquery(question)

        def stream(kit: Kit, mode: ResponseMode = mode, question: str = question) -> Any:
            response = engine(kit, response_mode=mode, streaming=True).query(question)
            return "".join(response.response_gen)

        async def astream(kit: Kit, mode: ResponseMode = mode, question: str = question) -> Any:
            response = await engine(kit, response_mode=mode, streaming=True).aquery(question)
            return "".join([piece async for piece in response.async_response_gen()])

        for run in (query, aquery, stream, astream)[: 4 if mode in STREAMED else 2]:
            run.__name__ = f"{mode.value}_{run.__name__}"
            consumer(answer, **facts)(run)


_enter_modes()


@consumer("city='Berlin", 3, before=2)
def output_cls(kit: Kit) -> Any:
    response = engine(kit, response_mode="tree_summarize", output_cls=Fact).query(QUESTION)
    return repr(response.response)


@consumer("city='Berlin", 3, before=2)
async def output_cls_async(kit: Kit) -> Any:
    response = await engine(kit, response_mode="tree_summarize", output_cls=Fact).aquery(QUESTION)
    return repr(response.response)


def _filtering(kit: Kit) -> RetrieverQueryEngine:
    synthesizer = get_response_synthesizer(
        llm=kit.llm, response_mode=ResponseMode.COMPACT, structured_answer_filtering=True
    )
    return RetrieverQueryEngine(kit.index().as_retriever(), synthesizer)


@consumer("Berlin is the capital", 3, before=2)
def answer_filtering(kit: Kit) -> Any:
    return str(_filtering(kit).query(QUESTION))


@consumer("Berlin is the capital", 3, before=2)
async def answer_filtering_async(kit: Kit) -> Any:
    return str(await _filtering(kit).aquery(QUESTION))


# --- query engines on top of others


def _hyde(kit: Kit) -> TransformQueryEngine:
    return TransformQueryEngine(engine(kit), HyDEQueryTransform(llm=kit.llm))


# the index, the invented passage, its vector and the question's, the answer
@consumer("Berlin", 5, before=1)
def hyde(kit: Kit) -> Any:
    return _hyde(kit).query(QUESTION)


@consumer("Berlin", 5, before=1)
async def hyde_async(kit: Kit) -> Any:
    return await _hyde(kit).aquery(QUESTION)


def _multi_step(kit: Kit) -> MultiStepQueryEngine:
    transform = StepDecomposeQueryTransform(llm=kit.llm)
    return MultiStepQueryEngine(
        engine(kit),
        transform,
        get_response_synthesizer(llm=kit.llm),
        index_summary="Capitals.",
        num_steps=1,
    )


@consumer("Berlin is the capital", 5, before=1)
def multi_step(kit: Kit) -> Any:
    return str(_multi_step(kit).query(QUESTION))


@consumer("Berlin is the capital", 5, before=1)
async def multi_step_async(kit: Kit) -> Any:
    return str(await _multi_step(kit).aquery(QUESTION))


@consumer("Berlin", 3, before=2)
def citation(kit: Kit) -> Any:
    return CitationQueryEngine.from_args(kit.index(), llm=kit.llm).query(QUESTION)


@consumer("Berlin", 3, before=2)
async def citation_async(kit: Kit) -> Any:
    return await CitationQueryEngine.from_args(kit.index(), llm=kit.llm).aquery(QUESTION)


def _tools(kit: Kit) -> list[QueryEngineTool]:
    described = {"cities": "capital of Germany and of France", "cats": "what cats eat"}
    return [
        QueryEngineTool.from_defaults(engine(kit), name=name, description=told)
        for name, told in described.items()
    ]


def _router(kit: Kit, selector: Any) -> RouterQueryEngine:
    return RouterQueryEngine.from_defaults(_tools(kit), llm=kit.llm, selector=selector)


# two indexes, the choice, the question's vector, the answer
@consumer("Berlin", 5, before=2)
def router_llm(kit: Kit) -> Any:
    return _router(kit, LLMSingleSelector.from_defaults(kit.llm)).query(QUESTION)


@consumer("Berlin", 5, before=2)
async def router_llm_async(kit: Kit) -> Any:
    return await _router(kit, LLMSingleSelector.from_defaults(kit.llm)).aquery(QUESTION)


@consumer("Berlin", 5, before=2)
def router_pydantic(kit: Kit) -> Any:
    return _router(kit, PydanticSingleSelector.from_defaults(llm=kit.llm)).query(QUESTION)


@consumer("Berlin", 5, before=2)
async def router_pydantic_async(kit: Kit) -> Any:
    return await _router(kit, PydanticSingleSelector.from_defaults(llm=kit.llm)).aquery(QUESTION)


def _sub_question(kit: Kit) -> SubQuestionQueryEngine:
    return SubQuestionQueryEngine.from_defaults(
        _tools(kit)[:1],
        llm=kit.llm,
        question_gen=LLMQuestionGenerator.from_defaults(kit.llm),
        verbose=False,
        use_async=False,
    )


# two indexes, the sub-questions, one vector and one answer for the one tool, the summary
@consumer("Berlin", 6, before=2)
def sub_question(kit: Kit) -> Any:
    return _sub_question(kit).query(QUESTION)


@consumer("Berlin", 6, before=2)
async def sub_question_async(kit: Kit) -> Any:
    return await _sub_question(kit).aquery(QUESTION)


def _fusion(kit: Kit) -> QueryFusionRetriever:
    return QueryFusionRetriever(
        [kit.index().as_retriever(similarity_top_k=1)],
        llm=kit.llm,
        num_queries=2,
        similarity_top_k=1,
        use_async=False,
    )


# the index, the other wordings, a vector for each of the two
@consumer("Berlin", 4, before=1)
def fusion(kit: Kit) -> Any:
    return _fusion(kit).retrieve(QUESTION)


@consumer("Berlin", 4, before=1)
async def fusion_async(kit: Kit) -> Any:
    return await _fusion(kit).aretrieve(QUESTION)


# --- chat engines: sync and async, whole and streamed


def _simple(kit: Kit) -> Any:
    return SimpleChatEngine.from_defaults(llm=kit.llm, chat_history=list(HISTORY))


def _context(kit: Kit) -> Any:
    return kit.index().as_chat_engine(chat_mode="context", llm=kit.llm)


def _condense_question(kit: Kit) -> Any:
    return CondenseQuestionChatEngine.from_defaults(
        engine(kit), llm=kit.llm, chat_history=list(HISTORY)
    )


def _streaming_condense_question(kit: Kit) -> Any:
    return CondenseQuestionChatEngine.from_defaults(
        engine(kit, streaming=True), llm=kit.llm, chat_history=list(HISTORY)
    )


def _condense_plus_context(kit: Kit) -> Any:
    return kit.index().as_chat_engine(
        chat_mode="condense_plus_context", llm=kit.llm, chat_history=list(HISTORY)
    )


CHAT_ENGINES = (
    # what makes it, what it is asked, what it must answer, requests, before the first chat
    (_simple, "What is my cat called?", "Mimi", 1, 0),
    (_context, QUESTION, "Berlin", 3, 2),
    (_condense_question, QUESTION, "Berlin", 4, 1),
    (_condense_plus_context, QUESTION, "Berlin", 4, 1),
)


def _enter_chat_engines() -> None:
    for make, question, answer, requests, before in CHAT_ENGINES:
        streaming = _streaming_condense_question if make is _condense_question else make

        def chat(kit: Kit, make: Any = make, question: str = question) -> Any:
            return make(kit).chat(question)

        async def achat(kit: Kit, make: Any = make, question: str = question) -> Any:
            return await make(kit).achat(question)

        def stream_chat(kit: Kit, make: Any = streaming, question: str = question) -> Any:
            return "".join(make(kit).stream_chat(question).response_gen)

        async def astream_chat(kit: Kit, make: Any = streaming, question: str = question) -> Any:
            response = await make(kit).astream_chat(question)
            return "".join([piece async for piece in response.async_response_gen()])

        for run in (chat, achat, stream_chat, astream_chat):
            run.__name__ = f"{make.__name__.lstrip('_')}_{run.__name__}"
            consumer(answer, requests, before=before)(run)


_enter_chat_engines()


# --- structured answers, asked for directly

PERSON = PromptTemplate("Tell me of the city: {text}")


class City(BaseModel):
    """A city."""

    name: str


@consumer("Lisbon", 1)
def structured_llm_chat(kit: Kit) -> Any:
    return kit.llm.as_structured_llm(City).chat([ChatMessage("The city is called Lisbon.")])


@consumer("Lisbon", 1)
async def structured_llm_achat(kit: Kit) -> Any:
    return await kit.llm.as_structured_llm(City).achat([ChatMessage("The city is called Lisbon.")])


@consumer("Lisbon", 1)
def structured_llm_stream_chat(kit: Kit) -> Any:
    asked = [ChatMessage("The city is called Lisbon.")]
    return list(kit.llm.as_structured_llm(City).stream_chat(asked))[-1]


@consumer("Lisbon", 1)
async def structured_llm_astream_chat(kit: Kit) -> Any:
    asked = [ChatMessage("The city is called Lisbon.")]
    stream = await kit.llm.as_structured_llm(City).astream_chat(asked)
    return [response async for response in stream][-1]


@consumer("Lisbon", 1)
def structured_llm_complete(kit: Kit) -> Any:
    return kit.llm.as_structured_llm(City).complete("The city is called Lisbon.")


@consumer("Lisbon", 1)
async def structured_llm_acomplete(kit: Kit) -> Any:
    return await kit.llm.as_structured_llm(City).acomplete("The city is called Lisbon.")


@consumer("Lisbon", 1)
def structured_predict(kit: Kit) -> Any:
    return kit.llm.structured_predict(City, PERSON, text="Lisbon")


@consumer("Lisbon", 1)
async def structured_predict_async(kit: Kit) -> Any:
    return await kit.llm.astructured_predict(City, PERSON, text="Lisbon")


@consumer("Lisbon", 1)
def stream_structured_predict(kit: Kit) -> Any:
    return list(kit.llm.stream_structured_predict(City, PERSON, text="Lisbon"))[-1]


@consumer("Lisbon", 1)
async def stream_structured_predict_async(kit: Kit) -> Any:
    stream = await kit.llm.astream_structured_predict(City, PERSON, text="Lisbon")
    return [city async for city in stream][-1]
