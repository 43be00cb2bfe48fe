"""Agents and workflows, calls of tools outside them, and what they remember with."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from llama_index.core.agent.workflow import (
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
)
from llama_index.core.base.embeddings.base import similarity
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import (
    ChatSummaryMemoryBuffer,
    FactExtractionMemoryBlock,
    VectorMemoryBlock,
)
from llama_index.core.tools import FunctionTool
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import VectorStoreQueryResult
from pydantic import BaseModel, PrivateAttr

from .kit import EMBEDDING, Kit, Register

consumer = Register()

SUM = "Please add 3 and 4."


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Sum(BaseModel):
    """The sum of two numbers."""

    total: int


def _calls(output: Any) -> list[Any]:
    return [call.tool_output.raw_output for call in output.tool_calls]


def _added(output: Any) -> bool:
    return _calls(output) == [7] and "7" in str(output)


# --- agents: the call of the tool, then the answer


@consumer(_added, 2)
async def function_agent(kit: Kit) -> Any:
    return await FunctionAgent(tools=[add], llm=kit.llm).run(SUM)


@consumer(_added, 2)
async def function_agent_not_streaming(kit: Kit) -> Any:
    return await FunctionAgent(tools=[add], llm=kit.llm, streaming=False).run(SUM)


@consumer(lambda output: set(output.structured_response) == {"total"} and _added(output), 3)
async def function_agent_output_cls(kit: Kit) -> Any:
    return await FunctionAgent(tools=[add], llm=kit.llm, output_cls=Sum).run(SUM)


@consumer(_added, 2)
async def react_agent(kit: Kit) -> Any:
    return await ReActAgent(tools=[add], llm=kit.llm).run(SUM)


@consumer(_added, 2)
async def react_agent_not_streaming(kit: Kit) -> Any:
    return await ReActAgent(tools=[add], llm=kit.llm, streaming=False).run(SUM)


async def _execute(code: str) -> dict[str, Any]:
    """Runs what the agent wrote, and gives what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"add": add})
    return {"output": printed.getvalue().strip()}


def _ran(output: Any) -> bool:
    return "add(3, 4)" in str(output.tool_calls) and "7" in str(output)


@consumer(_ran, 2)
async def code_act_agent(kit: Kit) -> Any:
    return await CodeActAgent(code_execute_fn=_execute, tools=[add], llm=kit.llm).run(SUM)


@consumer(_ran, 2)
async def code_act_agent_not_streaming(kit: Kit) -> Any:
    agent = CodeActAgent(code_execute_fn=_execute, tools=[add], llm=kit.llm, streaming=False)
    return await agent.run(SUM)


@consumer(_added, 2)
async def agent_workflow(kit: Kit) -> Any:
    workflow = AgentWorkflow.from_tools_or_functions([add], llm=kit.llm)
    assert isinstance(next(iter(workflow.agents.values())), FunctionAgent)
    return await workflow.run(SUM)


def _desk(kit: Kit) -> AgentWorkflow:
    """Two agents: one that takes the question, one that adds."""
    desk = FunctionAgent(
        name="desk",
        description="Takes questions.",
        llm=kit.llm,
        tools=[],
        can_handoff_to=["calculator"],
    )
    calculator = FunctionAgent(
        name="calculator", description="Adds numbers.", llm=kit.llm, tools=[add]
    )
    return AgentWorkflow(agents=[desk, calculator], root_agent="desk")


@consumer(
    lambda output: output.current_agent_name == "calculator" and "calculator" in str(output), 3
)
async def handoff(kit: Kit) -> Any:
    return await _desk(kit).run("Please handoff to 'calculator', reason 'sum'.")


# --- tools without an agent


def _tool() -> FunctionTool:
    return FunctionTool.from_defaults(add)


@consumer("7", 1)
def predict_and_call(kit: Kit) -> Any:
    return kit.llm.predict_and_call([_tool()], SUM)


@consumer("7", 1)
async def predict_and_call_async(kit: Kit) -> Any:
    return await kit.llm.apredict_and_call([_tool()], SUM)


@consumer('"a": 3', 1)
def stream_chat_with_tools(kit: Kit) -> Any:
    return list(kit.llm.stream_chat_with_tools([_tool()], SUM))[-1].message.blocks


@consumer('"a": 3', 1)
async def stream_chat_with_tools_async(kit: Kit) -> Any:
    stream = await kit.llm.astream_chat_with_tools([_tool()], SUM)
    return [response async for response in stream][-1].message.blocks


# --- memory


# the summary takes the place of the five turns that no longer fit
@consumer(lambda turns: "number of the day is 0" in turns[0].content and len(turns) == 2, 1)
def chat_summary_memory(kit: Kit) -> Any:
    memory = ChatSummaryMemoryBuffer.from_defaults(
        llm=kit.llm, token_limit=20, count_initial_tokens=False
    )
    for n in range(6):
        memory.put(ChatMessage(f"The number of the day is {n} and it is a very long day."))
    return memory.get()


@consumer("<fact>My cat is called Mimi.</fact>", 1)
async def fact_memory(kit: Kit) -> Any:
    block = FactExtractionMemoryBlock(llm=kit.llm)
    await block.aput([ChatMessage("My cat is called Mimi.")])
    return await block.aget([])


class _TextStore(SimpleVectorStore):
    """Core's store in memory keeps no text, which this block asks for."""

    stores_text: bool = True
    _kept: list[Any] = PrivateAttr(default_factory=list)

    def add(self, nodes: Any, **kwargs: Any) -> list[str]:
        self._kept.extend(nodes)
        return super().add(nodes, **kwargs)

    async def aquery(self, query: Any, **kwargs: Any) -> Any:
        likeness = [similarity(query.query_embedding, node.embedding) for node in self._kept]
        found = [
            (node, like) for node, like in zip(self._kept, likeness, strict=True) if like > 0.1
        ]
        return VectorStoreQueryResult(
            nodes=[node for node, _ in found], similarities=[like for _, like in found]
        )


@consumer("Mimi", 2, of=EMBEDDING)
async def vector_memory(kit: Kit) -> Any:
    block = VectorMemoryBlock(vector_store=_TextStore(), embed_model=kit.embed_model)
    await block.aput([ChatMessage("My cat is called Mimi.")])
    return await block.aget([ChatMessage("What is my cat called?")])
