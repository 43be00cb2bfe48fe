"""Prompts that want a verdict or a list in a fixed shape: a number, YES or NO, a score, keywords.

Frameworks parse these answers, so each form answers in the shape that its prompt describes, and
judges by shared words: a wrong passage gets a low place, an unsupported claim gets a NO. Each form
returns None for other prompts.
"""

from __future__ import annotations

import json
import re

from modelscope_transport.emulator.scripted.talk import Talk
from modelscope_transport.emulator.scripted.words import content, rank, sentences

_NUMBERED = re.compile(r"^\((\d+)\)\s*(.+?)(?=^\(\d+\)|^-{5,}|\Z)", re.MULTILINE | re.DOTALL)
_DOCUMENT = re.compile(
    r"^Document (\d+):\n(.+?)(?=^Document \d+:|^Question:|\Z)", re.MULTILINE | re.DOTALL
)
_BRACKETED = re.compile(r"^\[(\d+)\] (.*?)(?=^\[\d+\] |\Z)", re.MULTILINE | re.DOTALL)
_FOLLOW_UP = re.compile(r"Follow Up (?:Message|Input|Question)\W+(.+)", re.IGNORECASE)
_CLAIM = re.compile(
    r"(?:Information|Query and Response|context information):\s*(.+?)"
    r"(?=\n\s*Context:|\nWe have|\Z)",
    re.DOTALL,
)
_TRIPLET = re.compile(r"((?:[A-Z]\w*\s+)+|\w+\s+)(\w+(?:\s+(?:of|in|by|to|at|for))?)\s+(.+)")
_QUERIES = re.compile(r"Generate (\d+) search queries.*Query: (.+?)\nQueries:", re.DOTALL)
_SUPPORTED = 0.5
"""The share of a claim's words that its context must hold."""


def choice(talk: Talk) -> str | None:
    """One of a numbered list of choices: ``ANSWER: 2``, or a JSON list."""
    asked = re.findall(r"relevant to the question: '(.+?)'", talk.prompt)
    if not asked or "numbered list" not in talk.prompt:
        return None
    options = {text.strip(): number for number, text in _NUMBERED.findall(talk.prompt)}
    found = rank(asked[-1], options)
    number = int(options[found[0][1]]) if found else 1
    if "ANSWER:" in talk.prompt:
        return f"ANSWER: {number}\nIt shares the most words with the question."
    return json.dumps([{"choice": number, "reason": "It shares the most words with the question."}])


def documents(talk: Talk) -> str | None:
    """Documents by relevance: ``Doc: 3, Relevance: 9``."""
    if "Doc: 9, Relevance: 7" not in talk.prompt:
        return None
    task = talk.prompt.rpartition("Let's try this now:")[2]
    listed = {text.strip(): number for number, text in _DOCUMENT.findall(task)}
    question = task.rpartition("Question:")[2].partition("\nAnswer:")[0]
    found = [listed[text] for _, text in rank(question, listed)] or list(listed.values())[:1]
    return "\n".join(f"Doc: {each}, Relevance: {max(10 - at, 1)}" for at, each in enumerate(found))


def ranking(talk: Talk) -> str | None:
    """Numbers of documents in square brackets, the best first: ``[2, 1]``."""
    if not re.search(r"list of the documents' numbers", talk.system + talk.prompt):
        return None
    query, _, shown = talk.prompt.rpartition("Query:")[2].partition("Documents:")
    listed = {text.strip(): int(number) for number, text in _BRACKETED.findall(shown)}
    best = [listed[text] for _, text in rank(query, listed)]
    return json.dumps(best + [number for number in listed.values() if number not in best])


def verdict(talk: Talk) -> str | None:
    """YES or NO: whether a context holds most words of a claim."""
    if not re.search(r"YES\W{1,3}(?:or )?NO", talk.prompt):
        return None
    claims = _CLAIM.findall(talk.prompt)
    claim = content(claims[-1]) if claims else set()
    after = talk.prompt.rpartition("Context:")[2]
    dashed = re.findall(r"^-{5,}\n(.+?)\n-{5,}", talk.prompt, re.MULTILINE | re.DOTALL)
    held = content(dashed[-1] if dashed else after)
    existing = re.search(r"existing YES/NO answer:\s*YES", talk.prompt) is not None
    supported = len(claim & held) >= _SUPPORTED * len(claim)
    return "YES" if existing or supported else "NO"


def score(talk: Talk) -> str | None:
    """How well an answer fits: ``[RESULT] 2``, or a line from 1.0 to 5.0."""
    if "[RESULT]" in talk.prompt:
        # what is judged is a response, or the context that was found for the query
        query, response = re.split(
            r"Response:|Context:", talk.prompt.rpartition("Query:")[2] + "Response:"
        )[:2]
        shared = content(query) & content(response)
        return f"It shares {len(shared)} words with the query. [RESULT] {min(len(shared), 2)}"
    if "## Generated Answer" not in talk.prompt:
        return None
    before, _, generated = talk.prompt.partition("## Generated Answer")
    reference = before.rpartition("## Reference Answer")[2]
    wanted = content(reference) or content(before)
    share = len(wanted & content(generated)) / max(len(wanted), 1)
    return f"{1 + round(4 * share)}.0\nIt holds {share:.0%} of the words it should."


def keywords(talk: Talk) -> str | None:
    """``KEYWORDS: a, b``, or the words alone where the prompt ends in ``Keywords:``."""
    labelled = "KEYWORDS:" in talk.prompt
    if not labelled and not talk.prompt.rstrip().endswith("Keywords:"):
        return None
    found = re.search(r"-{5,}\n(.*?)\n-{5,}", talk.prompt, re.DOTALL)
    text = found.group(1) if found else talk.prompt.rpartition(". Give")[0] or talk.prompt
    said = [word.lower() for word in re.findall(r"[^\W\d_]{3,}", text)]
    kept = [word for word in dict.fromkeys(said) if content(word)][:5]
    return ("KEYWORDS: " if labelled else "") + ", ".join(kept)


def triplets(talk: Talk) -> str | None:
    """Subject, predicate and object of each sentence of the text: in brackets, or as JSON."""
    as_json = "'head_type'" in talk.prompt
    if not as_json and "(subject, predicate, object)" not in talk.prompt:
        return None
    text = talk.prompt.rpartition("Text:")[2].partition("Triplets:")[0].partition("Output:")[0]
    matches = map(_TRIPLET.match, sentences(text.replace(",", " ")))
    found = [[part.strip(" .!?") for part in match.groups()] for match in matches if match]
    if not as_json:
        return "\n".join(f"({', '.join(parts)})" for parts in found) or "(no triplets)"
    types = {"head_type": "ENTITY", "tail_type": "ENTITY"}
    return json.dumps(
        [{"head": head, "relation": verb, "tail": tail, **types} for head, verb, tail in found]
    )


def standalone(talk: Talk) -> str | None:
    """A follow-up question to be asked by itself: as it is."""
    if "standalone question" not in talk.prompt.lower():
        return None
    found = _FOLLOW_UP.findall(talk.prompt)
    return found[-1].strip() if found else None


def queries(talk: Talk) -> str | None:
    """Several search queries, one a line."""
    found = re.search(
        r"Generate (\d+) search queries.*Query: (.+?)\nQueries:", talk.prompt, re.DOTALL
    )
    if found is None:
        return None
    said = [word for word in found.group(2).split() if content(word)] or [found.group(2)]
    ways = [found.group(2).strip(), " ".join(said), *said]
    return "\n".join(ways[at % len(ways)] for at in range(int(found.group(1))))


def sub_questions(talk: Talk) -> str | None:
    """The question put to each of the tools, as JSON in Markdown."""
    if "sub_question" not in talk.prompt:
        return None
    tools = re.findall(r"<Tools>\s*```json\s*(\{.*?\})\s*```", talk.prompt, re.DOTALL)
    asked = re.findall(r"<User Question>\s*(.+)", talk.prompt)
    try:
        names = list(json.loads(tools[-1]))
    except (ValueError, IndexError):
        return None
    items = [{"sub_question": asked[-1].strip(), "tool_name": name} for name in names if asked]
    return f"```json\n{json.dumps({'items': items}, ensure_ascii=False, indent=4)}\n```"
