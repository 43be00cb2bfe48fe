"""A LangChain chain, streamed: prompt | model | parser.

Run it with a token from https://modelscope.cn/my/myaccesstoken:

    export MODELSCOPE_API_KEY=ms-...
    python examples/langchain_chain.py
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_modelscope import ChatModelScope

PROMPT = "Explain in one short sentence what this Python function does:\n\n{code}"
CODE = r"""
def tokens(text):
    return re.findall(r"\s*\w+|\s*[^\s\w]", text)
"""


def main() -> list[str]:
    """Stream one answer to the screen and return its pieces."""
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
