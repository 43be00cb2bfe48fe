"""Real pictures and sounds from words: the same words, the same bytes.

The name of a picture or sound encodes what it was made from, so that nothing has to be stored: it
is made again when it is asked for. A picture's file contains its description as text, which lets
the engine of rules say what it shows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

Colour = tuple[int, int, int]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS: dict[str, Colour] = {
    "red|红": (200, 50, 45),
    "orange|橙": (235, 140, 40),
    "gold|golden|yellow|金|黄": (240, 195, 60),
    "green|绿": (70, 150, 80),
    "blue|蓝": (60, 110, 190),
    "purple|violet|紫": (130, 80, 160),
    "pink|粉": (235, 150, 180),
    "brown|棕": (130, 90, 60),
    "white|snow|白|雪": (240, 240, 240),
    "grey|gray|灰": (130, 130, 135),
    "black|黑": (40, 40, 45),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture is made from."""

    description: str
    width: int
    height: int
    seed: int = 0


def name_of(picture: Picture) -> str:
    """The name of a picture's file, from which it can be made again."""
    packed = zlib.compress(json.dumps(asdict(picture)).encode(), 9)
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=") + ".png"


def picture_of(name: str) -> Picture | None:
    """The picture of a name; None for a name that `name_of` has not made."""
    code = name.removesuffix(".png")
    try:
        packed = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        return Picture(**json.loads(zlib.decompress(packed)))
    except (ValueError, TypeError, zlib.error):
        return None


def caption_of(url: str) -> str | None:
    """What a picture that was drawn here shows, read from its address or from its data URL."""
    if url.startswith("data:image/png;base64,"):
        try:
            return _description(base64.b64decode(url.partition(",")[2], validate=True))
        except (binascii.Error, struct.error):
            return None
    picture = picture_of(urlsplit(url).path.rpartition("/")[2])
    return None if picture is None else picture.description


# --- pictures


def draw(picture: Picture) -> bytes:
    """A PNG file."""
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row for row in _rows(picture))
    words = b"Description\0\0\0\0\0" + picture.description.encode()
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"iTXt", words),
            _chunk(b"IDAT", zlib.compress(rows, 6)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _rows(picture: Picture) -> Iterator[bytes]:
    """A sky, a ground and some balls in front, in the colours that the words name."""
    width, height = picture.width, picture.height
    dice = _Dice(f"{picture.description} {picture.seed}")
    named = _named(picture.description) or [dice.colour()]
    sky, ground = dice.colour(light=True), dice.colour()
    horizon = height * dice.number(50, 75) // 100
    small = min(width, height)
    balls = [
        (
            width * dice.number(15, 85) // 100,
            height * dice.number(20, 85) // 100,
            max(1, small * dice.number(6, 18) // 100),
            dice.colour(),
        )
        for _ in range(dice.number(2, 5))
    ]
    balls.append((width // 2, height // 2, small * 24 // 100, named[0]))
    for y in range(height):
        if y < horizon:
            tint = 1 - y / horizon / 2
            shade = tuple(round(255 - (255 - part) * tint) for part in sky)
        else:
            shade = tuple(round(part * (1 - (y - horizon) / height)) for part in ground)
        row = bytearray(bytes(shade) * width)
        for x, centre, radius, colour in balls:
            half = math.isqrt(max(0, radius**2 - (y - centre) ** 2))
            left, right = max(0, x - half), min(width, x + half)
            if half and left < right:
                lit = 1.15 - (y - centre + radius) / radius / 5
                painted = bytes(min(255, round(part * lit)) for part in colour)
                row[3 * left : 3 * right] = painted * (right - left)
        yield bytes(row)


def _named(words: str) -> list[Colour]:
    lowered = words.lower()
    return [colour for names, colour in _COLOURS.items() if re.search(names, lowered)]


class _Dice:
    """Numbers that depend on words alone."""

    def __init__(self, words: str) -> None:
        self._words, self._throws = words, 0

    def number(self, lowest: int, highest: int) -> int:
        self._throws += 1
        digest = hashlib.blake2b(f"{self._throws} {self._words}".encode(), digest_size=8)
        return lowest + int.from_bytes(digest.digest(), "big") % (highest - lowest + 1)

    def colour(self, light: bool = False) -> Colour:
        lowest = 150 if light else 40
        return self.number(lowest, 230), self.number(lowest, 230), self.number(lowest, 230)


def _description(png: bytes) -> str | None:
    """The text inside a PNG file."""
    if not png.startswith(_SIGNATURE):
        return None
    at = len(_SIGNATURE)
    while at + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        data = png[at + 8 : at + 8 + length]
        if kind == b"iTXt" and data.startswith(b"Description\0\0\0\0\0"):
            return data[len(b"Description") + 5 :].decode("utf-8", "replace")
        at += length + 12
    return None


# --- sounds


def speak(text: str) -> bytes:
    """A WAV file: a tone for each character, 16 kHz, one channel."""
    rate, samples = 16_000, bytearray()
    for sign in text[:60]:
        pitch = 220 + ord(sign) % 24 * 20
        for at in range(rate // 20):
            samples += struct.pack("<h", round(8000 * math.sin(2 * math.pi * pitch * at / rate)))
    header = struct.pack("<4sI4s", b"RIFF", 36 + len(samples), b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return header + form + struct.pack("<4sI", b"data", len(samples)) + bytes(samples)
