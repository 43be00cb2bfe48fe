"""用 LlamaIndex 为 Markdown 文件建立索引并提问；回答附有来源。

用 https://modelscope.cn/my/myaccesstoken 的令牌，对任意文件和目录运行：

    export MODELSCOPE_API_KEY=ms-...
    python examples/zh/llamaindex_query_engine.py README.zh.md docs
"""

import sys
from pathlib import Path

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.node_parser import MarkdownNodeParser, SentenceSplitter
from llama_index.core.schema import TransformComponent

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding

QUESTIONS = [
    "过去按次数计算时，次数在什么时候重置？",
    "Quantos Magicubes o login diário concede?",  # 葡萄牙语：每天登录送多少魔粒？
]


def read(place: Path) -> list[Document]:
    """读取一个 Markdown 文件，或一个目录中的全部。"""
    files = sorted(place.glob("*.md")) if place.is_dir() else [place]
    return [
        Document(text=file.read_text(encoding="utf-8"), metadata={"file": file.name})
        for file in files
    ]


def main(*places: Path) -> list[RESPONSE_TYPE]:
    """为文件和目录建立索引，回答问题，并显示回答的来源。"""
    llm = ModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", temperature=0)
    embed_model = ModelScopeEmbedding(model_name="Qwen/Qwen3-Embedding-0.6B")

    documents = [document for place in places for document in read(place)]
    splitters: list[TransformComponent] = [
        MarkdownNodeParser(),
        SentenceSplitter(chunk_size=512, chunk_overlap=0),
    ]
    index = VectorStoreIndex.from_documents(
        documents, embed_model=embed_model, transformations=splitters, show_progress=True
    )
    print(f"{len(documents)} 个文件，{len(index.index_struct.nodes_dict)} 个段落")

    engine = index.as_query_engine(llm=llm, similarity_top_k=2)
    responses = []
    for question in QUESTIONS:
        response = engine.query(question)
        print(f"\n{question}\n{response}")
        for source in response.source_nodes:
            print(f"  {source.metadata['file']} ({source.score:.2f})")
        responses.append(response)
    return responses


if __name__ == "__main__":
    here = Path(__file__).parents[2] / "demo" / "documents"
    main(*[Path(name) for name in sys.argv[1:]] or [here])
