"""Evaluators and rerankers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.evaluation import (
    AnswerRelevancyEvaluator,
    BaseEvaluator,
    BatchEvalRunner,
    ContextRelevancyEvaluator,
    CorrectnessEvaluator,
    FaithfulnessEvaluator,
    GuidelineEvaluator,
    PairwiseComparisonEvaluator,
    RelevancyEvaluator,
    SemanticSimilarityEvaluator,
)
from llama_index.core.postprocessor import LLMRerank, StructuredLLMRerank
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from .kit import EMBEDDING, QUESTION, TEXTS, Kit, Register

consumer = Register()

CASE: dict[str, Any] = {"query": QUESTION, "response": TEXTS[1], "contexts": list(TEXTS)}

EVALUATORS: dict[str, tuple[Callable[[Kit], BaseEvaluator], dict[str, Any], int, Any]] = {
    # how it is made; what it is given besides; requests; whether its verdict is right
    "faithfulness": (
        lambda kit: FaithfulnessEvaluator(llm=kit.llm),
        {},
        1,
        lambda result: result.passing,
    ),
    "relevancy": (
        lambda kit: RelevancyEvaluator(llm=kit.llm),
        {},
        1,
        lambda result: result.passing,
    ),
    "correctness": (
        lambda kit: CorrectnessEvaluator(llm=kit.llm),
        {"reference": TEXTS[1]},
        1,
        lambda result: result.score == 5.0,
    ),
    "answer_relevancy": (
        lambda kit: AnswerRelevancyEvaluator(llm=kit.llm),
        {},
        1,
        lambda result: result.score == 1.0,
    ),
    "context_relevancy": (
        lambda kit: ContextRelevancyEvaluator(llm=kit.llm),
        {},
        1,
        lambda result: result.score == 0.5,
    ),
    "guideline": (
        lambda kit: GuidelineEvaluator(llm=kit.llm, guidelines="The response names a city."),
        {},
        1,
        lambda result: result.passing and "shares 2 words" in result.feedback,
    ),
    "pairwise": (
        lambda kit: PairwiseComparisonEvaluator(llm=kit.llm, enforce_consensus=False),
        {"second_response": TEXTS[0]},
        1,
        lambda result: result.passing and "[[A]]" in result.feedback,
    ),
}


def _enter_evaluators() -> None:
    for name, (make, further, requests, right) in EVALUATORS.items():
        given = {**CASE, **further}

        def evaluate(kit: Kit, make: Any = make, given: dict[str, Any] = given) -> Any:
            return make(kit).evaluate(**given)

        async def aevaluate(kit: Kit, make: Any = make, given: dict[str, Any] = given) -> Any:
            return await make(kit).aevaluate(**given)

        for run in (evaluate, aevaluate):
            run.__name__ = f"{name}_{run.__name__}"
            consumer(right, requests)(run)


_enter_evaluators()


@consumer(lambda result: result.passing, 2, of=EMBEDDING)
def semantic_similarity(kit: Kit) -> Any:
    evaluator = SemanticSimilarityEvaluator(embed_model=kit.embed_model, similarity_threshold=0.1)
    return evaluator.evaluate(response=TEXTS[1], reference=TEXTS[0])


def _runner(kit: Kit) -> BatchEvalRunner:
    return BatchEvalRunner({"faithfulness": FaithfulnessEvaluator(llm=kit.llm)}, workers=1)


# core tries whatever fails three times; the second and the third are refused here
@consumer(lambda results: results["faithfulness"][0].passing, 1)
def batch_runner(kit: Kit) -> Any:
    return _runner(kit).evaluate_response_strs(
        queries=[QUESTION], response_strs=[TEXTS[1]], contexts_list=[list(TEXTS)]
    )


@consumer(lambda results: results["faithfulness"][0].passing, 1)
async def batch_runner_async(kit: Kit) -> Any:
    return await _runner(kit).aevaluate_response_strs(
        queries=[QUESTION], response_strs=[TEXTS[1]], contexts_list=[list(TEXTS)]
    )


# --- rerankers


def _found() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]


def _best(nodes: list[NodeWithScore]) -> bool:
    return [node.get_content() for node in nodes] == [TEXTS[1]]


@consumer(_best, 1)
def llm_rerank(kit: Kit) -> Any:
    return LLMRerank(llm=kit.llm, top_n=1).postprocess_nodes(_found(), query_str=QUESTION)


@consumer(_best, 1)
async def llm_rerank_async(kit: Kit) -> Any:
    rerank = LLMRerank(llm=kit.llm, top_n=1)
    return await rerank.apostprocess_nodes(_found(), QueryBundle(QUESTION))


@consumer(_best, 1)
def structured_llm_rerank(kit: Kit) -> Any:
    rerank = StructuredLLMRerank(llm=kit.llm, top_n=1)
    return rerank.postprocess_nodes(_found(), query_str=QUESTION)


@consumer(_best, 1)
async def structured_llm_rerank_async(kit: Kit) -> Any:
    rerank = StructuredLLMRerank(llm=kit.llm, top_n=1)
    return await rerank.apostprocess_nodes(_found(), QueryBundle(QUESTION))
