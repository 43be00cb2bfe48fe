"""The texts of the scripted engine: the forms in which frameworks ask, an answer in each form.

The first form that fits is used (:data:`FORMS`); a prompt that fits none is answered from the
conversation itself. Answers are made of the request's own words, so that a wrong prompt, a lost
passage or a forgotten message can be seen in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from modelscope_transport.emulator.scripted import digesting, judging
from modelscope_transport.emulator.scripted.filling import Filler
from modelscope_transport.emulator.scripted.talk import Talk, embedded_schema, mentioned
from modelscope_transport.emulator.scripted.words import is_chinese, rank, sentences

_QUESTION = re.compile(
    r"^\W*(?:Query|Question|User question|The original query is as follows|问题|提问)"
    r"\W*[:：](.+)",
    re.MULTILINE | re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"-{5,}|<context>|\b(?:context|passages?|documents?)\b|上下文|资料|文档|参考", re.IGNORECASE
)
_ABOUT_PROMPT = re.compile(
    r"^\W*(?:given|using|use|answer|context|based|you are|please|根据|请|以下|上下文)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^\W*(?:(?:new )?context|documents?|(?:original |existing )?answer|上下文|资料)\W*[:：]\s*",
    re.MULTILINE | re.IGNORECASE,
)
_ORIGINAL = re.compile(r"(?:Original Answer|existing answer): (.+)")
_LENGTH = re.compile(r"\b(\d{1,6}) words\b|(\d{1,6})\s*(?:个字|字)")
_LLAMA_TOOL = re.compile(
    r"> Tool Name: (\S+)\nTool Description: (.*?)\nTool Args: (\{.*?\})\s*(?=\n|\Z)", re.DOTALL
)
_PLAIN_TOOL = re.compile(r"^([A-Za-z_]\w*)(?:\(.*?\))?(?: ?-|:) (.+)$", re.MULTILINE)
_UNKNOWN = ("The context does not say.", "资料里没有说。")
_ONE_OF = re.compile(r"one of \[([^\]]+)\]")


def compose(talk: Talk) -> str:
    """Write the answer to a conversation."""
    for form in FORMS:
        if (text := form(talk)) is not None:
            return text
    return _plain(talk)


# --- the forms


def react(talk: Talk) -> str | None:
    """Thought, Action, Action Input: the agents that do without the tools field."""
    frame = talk.everything
    if not all(word in frame for word in ("Thought:", "Action:", "Action Input:")):
        return None
    final = "Final Answer:" if "Final Answer:" in frame else "Answer:"
    question, observed = _react_turn(talk)
    chinese = is_chinese(question)
    if observed is None:
        tools = _react_tools(frame)
        chosen = mentioned(question, {name: told for name, (told, _) in tools.items()})
        if chosen:
            return _react_action(chosen[0], tools[chosen[0]][1], question)
        observed = _plain(Talk([{"role": "user", "content": question}]))
    thought = (
        "我不需要再用工具就能回答。" if chinese else "I can answer without using any more tools."
    )
    return f"Thought: {thought}\n{final} {observed}"


def _react_turn(talk: Talk) -> tuple[str, str | None]:
    """The question, and the last observation that came after it."""
    last = talk.messages[-1][1]
    asked = re.findall(r"^Question: (.+)", talk.prompt, re.MULTILINE)
    question = asked[-1] if asked else talk.prompt
    if last.startswith("Observation:"):
        return question, last.removeprefix("Observation:").strip()
    scratch = talk.prompt.rpartition(f"Question: {question}")[2] if asked else ""
    observed = re.findall(r"^Observation: (.+)", scratch, re.MULTILINE)
    return question, observed[-1].strip() if observed else None


def _react_tools(frame: str) -> dict[str, tuple[str, dict[str, object]]]:
    """Names, descriptions and argument schemas of the tools that a prompt lists."""
    tools: dict[str, tuple[str, dict[str, object]]] = {}
    for name, told, schema in _LLAMA_TOOL.findall(frame):
        try:
            tools[name] = told, json.loads(schema)
        except ValueError:
            tools[name] = told, {}
    if tools:
        return tools
    found = _ONE_OF.search(frame)
    names = [name.strip(" '\"") for name in found.group(1).split(",")] if found else []
    told = dict(_PLAIN_TOOL.findall(frame))
    return {name: (told.get(name, ""), {}) for name in names}


def _react_action(name: str, schema: dict[str, object], question: str) -> str:
    thought = (
        "我需要用一个工具来回答。"
        if is_chinese(question)
        else "I need to use a tool to help me answer the question."
    )
    given: object = question
    if schema:
        given = json.dumps(Filler(question).fill(schema), ensure_ascii=False)
    return f"Thought: {thought}\nAction: {name}\nAction Input: {given}"


def seen(talk: Talk) -> str | None:
    """With pictures that were drawn here: what they show."""
    captions = talk.captions()
    if not captions:
        return None
    joined = "; ".join(captions)
    return f"图中是：{joined}" if is_chinese(talk.prompt) else f"The picture shows: {joined}"


def result_of_tools(talk: Talk) -> str | None:
    """After tools have run: what they returned."""
    results = talk.results()
    if not results:
        return None
    joined = "; ".join(text.strip() for text in results)
    return f"结果是：{joined}" if is_chinese(talk.prompt) else f"The result is: {joined}"


def fit_schema(talk: Talk) -> str | None:
    """A prompt that holds a JSON schema and asks for an object of it."""
    found = embedded_schema(talk.prompt) or embedded_schema(talk.system)
    if found is None or not re.search(r"json", talk.everything, re.IGNORECASE):
        return None
    schema, rest = found
    prompt = rest if talk.prompt.find("properties") >= 0 else talk.prompt
    return json.dumps(Filler(prompt).fill(schema), ensure_ascii=False)


def passages(talk: Talk) -> str | None:
    """A question over passages: the sentence that shares most with it, or that none does."""
    if not _CONTEXT.search(talk.prompt) and not _CONTEXT.search(talk.system):
        return None
    asked = _QUESTION.findall(talk.prompt)
    question = asked[-1].strip() if asked else talk.prompt
    material = talk.system + "\n" + (talk.prompt.replace(question, " ") if asked else "")
    material = _LABEL.sub("", material)
    found = rank(
        question,
        (text for text in sentences(material) if not _ABOUT_PROMPT.match(text) and len(text) > 3),
    )
    if found or not asked:
        return found[0][1] if found else None
    original = _ORIGINAL.findall(talk.prompt)
    unknown = _UNKNOWN[1] if is_chinese(question) else _UNKNOWN[0]
    return original[-1] if original else unknown


def answered(talk: Talk) -> str | None:
    """What passages say to a question; None where they say nothing to it."""
    found = passages(talk)
    return None if found in _UNKNOWN else found


def counted(talk: Talk) -> str | None:
    """A text of so many words, made of the prompt's own."""
    found = _LENGTH.search(talk.prompt)
    if found is None:
        return None
    wanted = int(found.group(1) or found.group(2))
    said = (
        talk.prompt.split() if found.group(1) else [sign for sign in talk.prompt if sign.isalpha()]
    )
    glue = " " if found.group(1) else ""
    return glue.join(said[at % len(said)] for at in range(wanted))


def remembered(talk: Talk) -> str | None:
    """A question that an earlier message of the conversation answers."""
    if not re.search(r"[?？]\s*$", talk.prompt):
        return None
    earlier = [
        text
        for role, text in talk.messages
        if role in ("user", "assistant") and text != talk.prompt
    ]
    found = rank(talk.prompt, (each for text in earlier for each in sentences(text)))
    return found[0][1] if found else None


FORMS: tuple[Callable[[Talk], str | None], ...] = (
    react,
    seen,
    result_of_tools,
    digesting.code,
    digesting.next_question,
    digesting.facts,
    digesting.comparison,
    digesting.guideline,
    digesting.passage,
    digesting.title,
    digesting.summary,
    digesting.questions,
    digesting.situated,
    judging.choice,
    judging.documents,
    judging.ranking,
    judging.verdict,
    judging.score,
    judging.keywords,
    judging.triplets,
    judging.standalone,
    judging.queries,
    judging.sub_questions,
    fit_schema,
    passages,
    counted,
    remembered,
)


def _plain(talk: Talk) -> str:
    """Nothing else fits: say what was asked."""
    prompt = talk.prompt.strip()[:400]
    return f"你说的是：“{prompt}”。" if is_chinese(prompt) else f"You said: “{prompt}”."
