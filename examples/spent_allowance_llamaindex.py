"""What a spent allowance looks like in LlamaIndex: one native error, and no requests after it.

It needs no token and spends nothing of yours: it runs on the project's local service, which
speaks ModelScope's protocol and here allows three calls a day.

    python examples/spent_allowance_llamaindex.py
"""

from llamaindex_modelscope import ModelScope, ModelScopeQuotaExceededError
from modelscope_transport.emulator import LocalService

MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"


def spend(llm: ModelScope) -> ModelScopeQuotaExceededError:
    """Call until the service refuses; return the refusal."""
    while True:
        try:
            print(f"answered: {llm.complete('Say hello.')}")
        except ModelScopeQuotaExceededError as error:
            return error


def main() -> tuple[ModelScopeQuotaExceededError, int]:
    """Spend the allowance, then call again; return the error and what the last call sent."""
    with LocalService(allowance="calls=3,headers") as service:
        llm = ModelScope(model=MODEL, api_key=service.token, base_url=service.base_url)

        error = spend(llm)
        print(f"refused: {type(error).__name__}: {error}")
        print(f"scope: {error.scope}, comes back: {error.resets_at}")

        before = len(service.requests)
        error = spend(llm)
        sent = len(service.requests) - before
        print(f"called again: {type(error).__name__}, {sent} requests sent")
        return error, sent


if __name__ == "__main__":
    main()
