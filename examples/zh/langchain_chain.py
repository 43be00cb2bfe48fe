"""流式的 LangChain 链：提示词 | 模型 | 解析器。

用 https://modelscope.cn/my/myaccesstoken 的令牌运行：

    export MODELSCOPE_API_KEY=ms-...
    python examples/zh/langchain_chain.py
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_modelscope import ChatModelScope

PROMPT = "用一句简短的话说明这个 Python 函数的作用：\n\n{code}"
CODE = r"""
def tokens(text):
    return re.findall(r"\s*\w+|\s*[^\s\w]", text)
"""


def main() -> list[str]:
    """把一个回答流式显示在屏幕上，并返回它的各个片段。"""
    prompt = ChatPromptTemplate.from_template(PROMPT)
    model = ChatModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", temperature=0)
    chain = prompt | model | StrOutputParser()

    pieces = []
    for piece in chain.stream({"code": CODE}):
        print(piece, end="", flush=True)
        pieces.append(piece)
    print()
    return pieces


if __name__ == "__main__":
    main()
