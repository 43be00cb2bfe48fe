"""Index Markdown files with LlamaIndex and ask them questions; answers come with their sources.

Run it with a token from https://modelscope.cn/my/myaccesstoken, on any files and folders:

    export MODELSCOPE_API_KEY=ms-...
    python examples/llamaindex_query_engine.py README.md docs
"""

import sys
from pathlib import Path

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.node_parser import MarkdownNodeParser, SentenceSplitter
from llama_index.core.schema import TransformComponent

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding

QUESTIONS = [
    "At what time of day did the count of calls go back to zero?",
    "每天登录送多少魔粒？",  # how many Magicubes does a login give each day?
]


def read(place: Path) -> list[Document]:
    """Read a Markdown file, or all those of a folder."""
    files = sorted(place.glob("*.md")) if place.is_dir() else [place]
    return [
        Document(text=file.read_text(encoding="utf-8"), metadata={"file": file.name})
        for file in files
    ]


def main(*places: Path) -> list[RESPONSE_TYPE]:
    """Index files and folders, answer the questions, show where the answers come from."""
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
    print(f"{len(documents)} files, {len(index.index_struct.nodes_dict)} passages")

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
    here = Path(__file__).parents[1] / "demo" / "documents"
    main(*[Path(name) for name in sys.argv[1:]] or [here])
