"""A LlamaIndex agent that calls a Python function and answers with its result.

Run it with a token from https://modelscope.cn/my/myaccesstoken:

    export MODELSCOPE_API_KEY=ms-...
    python examples/llamaindex_agent.py
"""

import asyncio
from datetime import datetime, timedelta, timezone

from llama_index.core.agent.workflow import AgentOutput, AgentStream, FunctionAgent, ToolCallResult

from llamaindex_modelscope import ModelScope

QUESTION = "How long is it until midnight at UTC+8?"  # when a day begins in Beijing


def time_until_midnight(utc_offset: int) -> str:
    """Say how long it is until midnight at an offset from UTC, in hours."""
    now = datetime.now(timezone(timedelta(hours=utc_offset)))
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = round((midnight - now).total_seconds() / 60)
    return f"{minutes // 60} hours and {minutes % 60} minutes"


async def answer(question: str) -> AgentOutput:
    """Let the agent work on a question; show its calls and its words as they come."""
    llm = ModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", temperature=0)
    agent = FunctionAgent(tools=[time_until_midnight], llm=llm)

    handler = agent.run(question)
    async for event in handler.stream_events():
        if isinstance(event, ToolCallResult):
            print(f"[{event.tool_name}({event.tool_kwargs}) -> {event.tool_output.content}]")
        elif isinstance(event, AgentStream):
            print(event.delta, end="", flush=True)
    print()
    return await handler


def main() -> AgentOutput:
    """Ask one question."""
    return asyncio.run(answer(QUESTION))


if __name__ == "__main__":
    main()
