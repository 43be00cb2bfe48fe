"""Indexes, ingestion, extractors, splitters and graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core import (
    DocumentSummaryIndex,
    KeywordTableIndex,
    PropertyGraphIndex,
    SummaryIndex,
    TreeIndex,
    VectorStoreIndex,
)
from llama_index.core.base.embeddings.base import similarity
from llama_index.core.extractors import (
    DocumentContextExtractor,
    KeywordExtractor,
    PydanticProgramExtractor,
    QuestionsAnsweredExtractor,
    SummaryExtractor,
    TitleExtractor,
)
from llama_index.core.extractors.interface import BaseExtractor
from llama_index.core.indices.property_graph import (
    DynamicLLMPathExtractor,
    SchemaLLMPathExtractor,
    SimpleLLMPathExtractor,
)
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SemanticSplitterNodeParser
from llama_index.core.program import FunctionCallingProgram, LLMTextCompletionProgram
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from pydantic import BaseModel

from .kit import EMBEDDING, QUESTION, TEXTS, Kit, Register

consumer = Register()


class Entry(BaseModel):
    """What a passage is about."""

    city: str


def _nodes() -> list[TextNode]:
    return [TextNode(text=TEXTS[1], id_="berlin")]


# --- vectors


def _vectors(index: VectorStoreIndex) -> list[Any]:
    store: Any = index.vector_store
    return list(store.data.embedding_dict.values())


def _are_two(vectors: list[Any]) -> bool:
    """Two vectors of two passages that share words: alike, and not the same."""
    return len(vectors) == 2 and 0.1 < similarity(*vectors) < 0.99


@consumer(_are_two, 1, of=EMBEDDING)
def vector_index(kit: Kit) -> Any:
    return _vectors(kit.index())


@consumer(_are_two, 1, of=EMBEDDING)
def vector_index_use_async(kit: Kit) -> Any:
    index = VectorStoreIndex.from_documents(
        kit.documents(), embed_model=kit.embed_model, use_async=True
    )
    return _vectors(index)


@consumer("Berlin", 2, of=EMBEDDING)
def retriever(kit: Kit) -> Any:
    return kit.index().as_retriever(similarity_top_k=1).retrieve(QUESTION)


@consumer("Berlin", 2, of=EMBEDDING)
async def retriever_async(kit: Kit) -> Any:
    return await kit.index().as_retriever(similarity_top_k=1).aretrieve(QUESTION)


@consumer("Berlin", 2, of=EMBEDDING)
def no_text_engine(kit: Kit) -> Any:
    with kit.as_settings():  # core asks the settings for a model here, and never uses it
        engine = kit.index().as_query_engine(response_mode="no_text", similarity_top_k=1)
        return engine.query(QUESTION).source_nodes


@consumer("Berlin", 2, of=EMBEDDING)
async def context_only_engine(kit: Kit) -> Any:
    with kit.as_settings():
        engine = kit.index().as_query_engine(response_mode="context_only", similarity_top_k=1)
        return await engine.aquery(QUESTION)


@consumer("Berlin", 3, before=2)
def settings(kit: Kit) -> Any:
    with kit.as_settings():
        index = VectorStoreIndex.from_documents(kit.documents())
        return index.as_query_engine().query(QUESTION)


def _pipeline(kit: Kit) -> IngestionPipeline:
    return IngestionPipeline(transformations=[kit.embed_model])


@consumer(lambda nodes: _are_two([node.embedding for node in nodes]), 1, of=EMBEDDING)
def ingestion(kit: Kit) -> Any:
    return _pipeline(kit).run(documents=kit.documents())


@consumer(lambda nodes: _are_two([node.embedding for node in nodes]), 1, of=EMBEDDING)
async def ingestion_async(kit: Kit) -> Any:
    return await _pipeline(kit).arun(documents=kit.documents())


TOLD = "Berlin is a city in Germany. Berlin is the capital of Germany. Cats eat fish."


def _splitter(kit: Kit) -> SemanticSplitterNodeParser:
    return SemanticSplitterNodeParser(
        embed_model=kit.embed_model, buffer_size=0, breakpoint_percentile_threshold=50
    )


def _is_split(nodes: Any) -> bool:
    first, second = (node.get_content() for node in nodes)
    return "Berlin" in first and "Cats" in second and "Berlin" not in second


@consumer(_is_split, 1, of=EMBEDDING)
def semantic_splitter(kit: Kit) -> Any:
    return _splitter(kit).get_nodes_from_documents(kit.documents(TOLD))


@consumer(_is_split, 1, of=EMBEDDING)
async def semantic_splitter_async(kit: Kit) -> Any:
    return await _splitter(kit).aget_nodes_from_documents(kit.documents(TOLD))


# --- extractors: each sync and async

PROGRAM = "The passage is about the city {input}."


def _program(kit: Kit) -> FunctionCallingProgram[Entry]:
    return FunctionCallingProgram.from_defaults(
        output_cls=Entry, llm=kit.llm, prompt_template_str=PROGRAM
    )


def _context(kit: Kit) -> DocumentContextExtractor:
    store = SimpleDocumentStore()
    store.add_documents([TextNode(text=" ".join(TEXTS), id_="whole")])
    return DocumentContextExtractor(
        docstore=store,
        llm=kit.llm,
        max_context_length=1000,
        max_output_tokens=50,
        show_progress=False,
    )


def _contextual_nodes() -> list[TextNode]:
    node = _nodes()[0]
    node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="whole")
    return [node]


EXTRACTORS: dict[str, tuple[Callable[..., BaseExtractor], str, str, int]] = {
    # what makes it, what it finds, as which words, requests
    "title": (TitleExtractor, "document_title", "Berlin capital Germany", 2),
    "summary": (SummaryExtractor, "section_summary", "Berlin is the capital of Germany.", 1),
    "keyword": (KeywordExtractor, "excerpt_keywords", "berlin, capital, germany", 1),
    "questions": (
        QuestionsAnsweredExtractor,
        "questions_this_excerpt_can_answer",
        "5. Is it so that Berlin is the capital of Germany?",
        1,
    ),
}


def _enter_extractors() -> None:
    for name, (make, key, words, requests) in EXTRACTORS.items():

        def extract(kit: Kit, make: Any = make) -> Any:
            return make(llm=kit.llm, show_progress=False).extract(_nodes())

        async def aextract(kit: Kit, make: Any = make) -> Any:
            return await make(llm=kit.llm, show_progress=False).aextract(_nodes())

        for run in (extract, aextract):
            run.__name__ = f"{name}_{run.__name__}"
            consumer(lambda out, key=key, words=words: words in out[0][key], requests)(run)


_enter_extractors()


def _pydantic_extractor(kit: Kit) -> PydanticProgramExtractor[Entry]:
    return PydanticProgramExtractor(program=_program(kit), input_key="input", show_progress=False)


@consumer("Berlin", 1)
def pydantic_extract(kit: Kit) -> Any:
    return _pydantic_extractor(kit).extract(_nodes())


@consumer("Berlin", 1)
async def pydantic_aextract(kit: Kit) -> Any:
    return await _pydantic_extractor(kit).aextract(_nodes())


# core prints this extractor's failure and goes on without the context
@consumer(
    lambda out: out[0]["context"] == "The passage says that Berlin is the capital of Germany.",
    1,
    swallowed=lambda out: "context" not in out[0],
)
async def document_context(kit: Kit) -> Any:
    return await _context(kit).aextract(_contextual_nodes())


# --- programs


@consumer("Berlin", 1)
def function_calling_program(kit: Kit) -> Any:
    return _program(kit)(input="Berlin")


@consumer("Berlin", 1)
async def function_calling_program_async(kit: Kit) -> Any:
    return await _program(kit).acall(input="Berlin")


def _text_program(kit: Kit) -> LLMTextCompletionProgram[Entry]:
    return LLMTextCompletionProgram.from_defaults(
        output_cls=Entry, llm=kit.llm, prompt_template_str="The city is called {input}."
    )


@consumer("city='Berlin'", 1)
def text_program(kit: Kit) -> Any:
    return repr(_text_program(kit)(input="Berlin"))


@consumer("city='Berlin'", 1)
async def text_program_async(kit: Kit) -> Any:
    return repr(await _text_program(kit).acall(input="Berlin"))


# --- graphs


def _triplets(nodes: Any) -> list[Any]:
    return nodes[0].metadata.get("relations", [])


def _links_berlin(nodes: Any) -> bool:
    (relation,) = _triplets(nodes)
    return relation.source_id == "Berlin" and "germany" in relation.target_id.lower()


GRAPHS = {
    "simple": lambda kit: SimpleLLMPathExtractor(llm=kit.llm),
    "schema": lambda kit: SchemaLLMPathExtractor(llm=kit.llm),
    "dynamic": lambda kit: DynamicLLMPathExtractor(llm=kit.llm),
}


def _enter_graphs() -> None:
    for name, make in GRAPHS.items():

        def path(kit: Kit, make: Any = make) -> Any:
            return make(kit)(_nodes())

        async def apath(kit: Kit, make: Any = make) -> Any:
            return await make(kit).acall(_nodes())

        for run in (path, apath):
            run.__name__ = f"{name}_{run.__name__}"
            swallowed = (lambda out: not _triplets(out)) if name == "dynamic" else None
            consumer(_links_berlin, 1, swallowed=swallowed)(run)


_enter_graphs()


# the triplets, the vectors of the passage and of what it names
@consumer(lambda out: out[0][0].name == "Berlin", 3)
def property_graph_index(kit: Kit) -> Any:
    index = PropertyGraphIndex(
        nodes=_nodes(),
        kg_extractors=[SimpleLLMPathExtractor(llm=kit.llm)],
        embed_model=kit.embed_model,
        llm=kit.llm,
        use_async=False,
    )
    return index.property_graph_store.get_triplets(entity_names=["Berlin"])


# --- indexes that the chat model makes


@consumer("Berlin", 3)
def keyword_table_index(kit: Kit) -> Any:
    index = KeywordTableIndex(_nodes(), llm=kit.llm)
    return index.as_query_engine(llm=kit.llm).query("Where is Berlin?")


@consumer("Berlin", 1)
def summary_index(kit: Kit) -> Any:
    return SummaryIndex(_nodes()).as_query_engine(llm=kit.llm).query(QUESTION)


@consumer("Berlin", 1)
def tree_index(kit: Kit) -> Any:
    return TreeIndex(_nodes(), llm=kit.llm).as_query_engine(llm=kit.llm).query(QUESTION)


# the summary, its vector, the question's vector, the answer
@consumer("Berlin", 4)
def document_summary_index(kit: Kit) -> Any:
    index = DocumentSummaryIndex.from_documents(
        kit.documents(TEXTS[1]), llm=kit.llm, embed_model=kit.embed_model
    )
    return index.as_query_engine(llm=kit.llm).query(QUESTION)
