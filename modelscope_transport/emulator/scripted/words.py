"""Words of a text, in Latin and in Chinese script, brought to a form that can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RUN = re.compile(r"[A-Za-z]+|\d+(?:\.\d+)?|[\u3400-\u9fff]+|[\u3040-\u30ff\uac00-\ud7af]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ENDING = re.compile(r"(?:ations?|ators?|ating|ated|ates?|ings?|ied|ies|ers?|ors?|ed|es|s|e|y)$")

_ENGLISH = (
    "a about an and any are as at be by can could did do does for from get give had has have he her"
    " here his how i if in into is it its just let me my no not of on one or our please she should"
    " so some tell than that the their them then there these they this to up us use used useful"
    " user using was we were what when where which who whom why will with would you your json"
)
_CHINESE = "的了是在和与吗呢我你他她它们这那有个请帮把被就都也很一不什么怎样哪谁多少几吧啊"
_TOOLISH = "function tool tools call input output value values returns return returned given name"
TOOLISH = frozenset(_TOOLISH.split())
"""Words that are frequent in descriptions of tools, and so distinguish none."""

STOP = frozenset(_ENGLISH.split()) | frozenset(_CHINESE)
"""Words that say little."""

SAME = {
    # what is done with numbers
    **dict.fromkeys(("+", "plus", "sum", "加"), "add"),
    **dict.fromkeys(("*", "×", "times", "product", "乘"), "multiply"),
    **dict.fromkeys(("-", "minus", "减"), "subtract"),
    **dict.fromkeys(("/", "÷", "除"), "divide"),
    "计算": "calculate",
    # what is asked for
    "天气": "weather",
    "气温": "temperature",
    "时间": "time",
    "日期": "date",
    "价格": "price",
    "城市": "city",
    **dict.fromkeys(("搜索", "查找"), "search"),
    "翻译": "translate",
    "邮件": "email",
}
"""Signs and Chinese words for what tools are often called in English."""


def stem(word: str) -> str:
    """Cut the endings that English puts on a word; what stays has at least three letters."""
    word = word.lower()
    found = _ENDING.search(word)
    return word[: found.start()] if found and found.start() >= 3 else word


def words(text: str) -> list[str]:
    """The words of a text in order: stems, numbers, Chinese characters and pairs of them.

    A word of :data:`SAME` is followed by what it stands for.
    """
    found: list[str] = []
    for run in _RUN.findall(_CAMEL.sub(" ", text)):
        if run[0].isascii():
            found.append(stem(run))
        else:
            found.extend(run)
            found.extend(run[at : at + 2] for at in range(len(run) - 1))
    return found


def content(text: str) -> set[str]:
    """The words that say something."""
    return {word for word in words(text) if word not in _STOPPED and len(word) + (word > "~") > 1}


def with_synonyms(text: str) -> set[str]:
    """The words that say something, and what the signs and Chinese words among them stand for."""
    lowered = text.lower()
    named = {stem(name) for sign, name in SAME.items() if _holds(lowered, sign)}
    return content(text) | named


def _holds(text: str, sign: str) -> bool:
    if sign.isascii() and sign.isalpha():
        return re.search(rf"\b{sign}\b", text) is not None
    if not sign.isalnum():
        return re.search(rf"[\d)]\s*{re.escape(sign)}\s*[\d(]", text) is not None
    return sign in text


def is_chinese(text: str) -> bool:
    """Whether a text has more Chinese characters than words of other scripts."""
    words = re.findall(r"[^\W\d_\u3400-\u9fff]+", text)
    return sum("\u3400" <= sign <= "\u9fff" for sign in text) > len(words)


def sentences(text: str) -> list[str]:
    """Cut a text into sentences: at full stops of either script and at line ends."""
    cut = re.split(r"(?<=[.!?])\s+|(?<=[。！？；])|\n+", text)
    return [part.strip() for part in cut if part and part.strip()]


def rank(question: str, passages: Iterable[str]) -> list[tuple[float, str]]:
    """Order passages by the words they share with a question, the rarer the better; best first.

    Passages that share nothing are left out.
    """
    texts = list(dict.fromkeys(passages))
    sets = [content(text) for text in texts]
    wanted = content(question)
    spread = {word: sum(word in each for each in sets) for word in wanted}
    scored = [
        (sum(1 / spread[word] for word in wanted & each) / (len(each) + 4) ** 0.25, text)
        for text, each in zip(texts, sets, strict=True)
        if wanted & each
    ]
    return sorted(scored, key=lambda pair: -pair[0])


_STOPPED = frozenset(stem(word) for word in STOP) | STOP
