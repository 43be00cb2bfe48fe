"""Prompts that want a text worked on: facts, a summary, a title, questions, the next step, code.

Each form answers in the shape that its prompt describes, made of the words that the prompt brought
along, so that a lost passage shows. Each form returns None for other prompts.
"""

from __future__ import annotations

import json
import re

from modelscope_transport.emulator.scripted.filling import Filler
from modelscope_transport.emulator.scripted.talk import Talk, mentioned
from modelscope_transport.emulator.scripted.words import content, sentences

_FOLLOWS = re.compile(r"^(?:Next|New) question:\s*\Z", re.MULTILINE)
_ASKED = re.compile(r"^Question: (.+)", re.MULTILINE)
_REASONED = re.compile(r"^Previous reasoning:\s*(.*?)(?=^(?:Next|New) question:)", re.M | re.S)
_SECTION = re.compile(r"Here is the content of the section:\n(.+?)\n\s*\nSummarize", re.DOTALL)
_TRANSCRIPT = re.compile(r"Transcript so far:(.+)", re.DOTALL)
_TURN = re.compile(r"^\s*(?:user|assistant): (.+)", re.MULTILINE)
_TITLED = re.compile(r"(?:Context: )?(.+?)\.? (?:Give a title|Based on the above)", re.DOTALL)
_CONTEXT = re.compile(r"Here is the context:\n(.+?)\n\s*\n.*?generate (\d+) questions", re.DOTALL)
_CHUNK = re.compile(r"<chunk>\s*(.+?)\s*</chunk>", re.DOTALL)
_PASSAGE = re.compile(
    r"write a passage to answer the question.*?\n\s*\n(.+?)\s*Passage:", re.DOTALL
)
_ANSWERS = re.compile(r"Start of Assistant ([AB])’s Answer\]\n(.*?)\n\[The End", re.DOTALL)
_RESPONSE = re.compile(r"^Response: (.+)", re.MULTILINE)
_SIGNATURE = re.compile(r"^def (\w+)\((.*?)\)[^\n]*:\n\s+(?:\"\"\"(.*?)\"\"\")?", re.M | re.S)
_RAN = "Result of executing the code given:"


def next_question(talk: Talk) -> str | None:
    """The next step to an answer: the question itself, then nothing more."""
    if "Previous reasoning" not in talk.prompt or not _FOLLOWS.search(talk.prompt.rstrip() + " "):
        return None
    asked, reasoned = _ASKED.findall(talk.prompt), _REASONED.findall(talk.prompt)
    begun = bool(reasoned) and reasoned[-1].strip() not in ("", "None", "None.")
    return "None" if begun or not asked else str(asked[-1]).strip()


def facts(talk: Talk) -> str | None:
    """What the conversation says, one fact a sentence, in the tags that the prompt shows."""
    if "<facts>" not in talk.prompt:
        return None
    existing = re.findall(r"<fact>(.+?)</fact>", talk.prompt.partition("</existing_facts>")[0])
    said = [
        sentence
        for role, text in talk.messages[:-1]
        if role in ("user", "assistant")
        for sentence in sentences(text)
        if not sentence.endswith(("?", "？"))
    ]
    if "condens" in talk.prompt:
        said, existing = existing, []
    new = [text for text in dict.fromkeys(said) if text not in existing]
    return "<facts>" + "".join(f"<fact>{text}</fact>" for text in new) + "</facts>"


def summary(talk: Talk) -> str | None:
    """The first sentence of a section, or of each turn of a transcript."""
    if section := _SECTION.search(talk.prompt):
        return sentences(section.group(1))[0]
    if transcript := _TRANSCRIPT.search(talk.prompt):
        turns = [sentences(turn)[0] for turn in _TURN.findall(transcript.group(1))]
        return "Summary: " + " ".join(turns)
    return None


def title(talk: Talk) -> str | None:
    """A title: the words of the text that say something."""
    if not talk.prompt.rstrip().endswith("Title:"):
        return None
    found = _TITLED.match(talk.prompt)
    text = sentences(found.group(1) if found else talk.prompt)[0]
    return " ".join(word for word in re.findall(r"\w+", text) if content(word)) or text


def questions(talk: Talk) -> str | None:
    """Questions that a passage answers, as many as wanted, one a line."""
    found = _CONTEXT.search(talk.prompt)
    if found is None:
        return None
    about = sentences(found.group(1))
    wanted = int(found.group(2))
    return "\n".join(
        f"{at + 1}. Is it so that {about[at % len(about)].rstrip('.')}?" for at in range(wanted)
    )


def situated(talk: Talk) -> str | None:
    """The context of a passage of a document: a sentence that says what it is about."""
    found = _CHUNK.search(talk.prompt)
    if found is None or "context" not in talk.prompt:
        return None
    return f"The passage says that {sentences(found.group(1))[0]}"


def passage(talk: Talk) -> str | None:
    """A passage that might answer a question."""
    found = _PASSAGE.search(talk.prompt)
    if found is None:
        return None
    about = " ".join(word for word in re.findall(r"\w+", found.group(1)) if content(word))
    return f"This passage is about {about}."


def comparison(talk: Talk) -> str | None:
    """Which of two answers shares more words with the question: ``[[A]]``, ``[[B]]``, ``[[C]]``."""
    answers = dict(_ANSWERS.findall(talk.prompt))
    if set(answers) != {"A", "B"}:
        return None
    question = content(talk.prompt.partition("[The Start of Reference]")[0])
    shared = {name: len(question & content(text)) for name, text in answers.items()}
    better = max(shared, key=lambda name: shared[name])
    verdict = "C" if shared["A"] == shared["B"] else better
    return f"A shares {shared['A']} words with the question, B {shared['B']}. [[{verdict}]]"


def guideline(talk: Talk) -> str | None:
    """Whether a response keeps to guidelines, as JSON: it must share a word with the query."""
    if "based on the guidelines below" not in talk.prompt:
        return None
    query = content(talk.prompt.partition("Critique the following")[0])
    shared = query & content(" ".join(_RESPONSE.findall(talk.prompt)))
    feedback = f"The response shares {len(shared)} words with the query."
    return json.dumps({"passing": bool(shared), "feedback": feedback})


def code(talk: Talk) -> str | None:
    """Python between the tags that the prompt shows: the call of the function that is mentioned."""
    if "<execute>" not in talk.system:
        return None
    last = talk.messages[-1][1]
    if last.startswith(_RAN):
        return f"The result is: {last.removeprefix(_RAN).strip()}"
    described = {name: told or "" for name, _, told in _SIGNATURE.findall(talk.system)}
    signatures = {name: arguments for name, arguments, _ in _SIGNATURE.findall(talk.system)}
    chosen = mentioned(talk.prompt, {name: described[name] for name in described})
    if not chosen:
        return None
    names = re.findall(r"(\w+)\s*:", signatures[chosen[0]])
    filler = Filler(talk.prompt)
    given = ", ".join(str(filler.fill({"type": "number"}, name)) for name in names)
    return f"<execute>\nprint({chosen[0]}({given}))\n</execute>"
