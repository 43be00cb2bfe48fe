"""额度用完在 LlamaIndex 中是什么样：一个框架自己的错误，之后不再发出请求。

不需要令牌，也不花你的额度：它在本项目的本地服务上运行，协议与 ModelScope 相同，
这里每天只允许三次调用。

    python examples/zh/spent_allowance_llamaindex.py
"""

from llamaindex_modelscope import ModelScope, ModelScopeQuotaExceededError
from modelscope_transport.emulator import LocalService

MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"


def spend(llm: ModelScope) -> ModelScopeQuotaExceededError:
    """一直调用到服务拒绝为止，返回这个拒绝。"""
    while True:
        try:
            print(f"回答：{llm.complete('你好！')}")
        except ModelScopeQuotaExceededError as error:
            return error


def main() -> tuple[ModelScopeQuotaExceededError, int]:
    """用完额度，再调用一次；返回错误和最后一次调用发送的请求数。"""
    with LocalService(allowance="calls=3,headers") as service:
        llm = ModelScope(model=MODEL, api_key=service.token, base_url=service.base_url)

        error = spend(llm)
        print(f"被拒绝：{type(error).__name__}: {error}")
        print(f"范围：{error.scope}，恢复时间：{error.resets_at}")

        before = len(service.requests)
        error = spend(llm)
        sent = len(service.requests) - before
        print(f"再次调用：{type(error).__name__}，发送了 {sent} 个请求")
        return error, sent


if __name__ == "__main__":
    main()
