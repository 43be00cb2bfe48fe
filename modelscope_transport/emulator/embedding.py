"""Deterministic vectors that rank by shared words: a hashed bag of words, brought to length one.

The same text gives the same vector in every process. Texts that share rare words are near, texts
that share none are at a right angle (but for a rare collision of the hash). Chinese is compared by
characters and pairs of characters.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from zlib import crc32

from modelscope_transport.emulator.scripted.words import STOP, words

_INSTRUCTION = re.compile(r"\AInstruct:.*?\n\s*Query:\s*", re.DOTALL)
_FAINT = 0.05
"""The weight of a stop word: not 0, so that a text of stop words alone has a direction too."""


@lru_cache(maxsize=4096)
def embed(text: str, dimensions: int) -> tuple[float, ...]:
    """Return the vector of a text.

    Args:
        text: The text. An instruction as Qwen3-Embedding takes it (``Instruct: …`` and ``Query:``)
            is ignored.
        dimensions: Length of the vector.

    Returns:
        Numbers whose squares add up to one.
    """
    counted = Counter(words(_INSTRUCTION.sub("", text))) or Counter([text])
    vector = [0.0] * dimensions
    for word, count in counted.items():
        weight = (1 + math.log(count)) * _weight(word)
        for salt in ("", "#"):  # two places for each word make a collision harmless
            code = crc32((word + salt).encode())
            vector[(code >> 1) % dimensions] += weight if code & 1 else -weight
    norm = math.sqrt(sum(number * number for number in vector))
    if norm == 0:  # the words have cancelled one another
        vector[0] = norm = 1.0
    return tuple(round(number / norm, 6) for number in vector)


def _weight(word: str) -> float:
    if word in STOP:
        return _FAINT
    return 0.3 if len(word) == 1 else 1.0
