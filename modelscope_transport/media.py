"""Images and sounds as the service takes them: an address, or the file itself as a data URL.

Text is an address and never a file: a model that calls a tool writes text, and must not be able to
have this machine's files sent anywhere. To send a file, pass a `pathlib.Path`.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path, PurePath

from .errors import InvalidRequestError
from .language import translated as _

__all__ = ["LARGEST_FILE", "MediaSource", "media_type_of", "media_url"]

MediaSource = str | bytes | PurePath

LARGEST_FILE = 32 << 20
"""Bytes above which a file is not sent."""

_SIGNS = (
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF....WEBP", "image/webp"),
    (rb"BM....\x00\x00\x00\x00", "image/bmp"),
    (rb"....ftypavi[fs]", "image/avif"),
    (rb"....ftyp(heic|heix|mif1)", "image/heic"),
    (rb"RIFF....WAVE", "audio/wav"),
    (rb"ID3|\xff[\xf2\xf3\xfb]", "audio/mpeg"),
    (rb"fLaC", "audio/flac"),
    (rb"OggS", "audio/ogg"),
    (rb"....ftypM4A", "audio/mp4"),
    (rb"....ftyp", "video/mp4"),
)


def media_type_of(data: bytes) -> str | None:
    """What a file is, by its first bytes: ``"image/png"``; ``None`` where they say nothing."""
    for sign, media_type in _SIGNS:
        if re.match(sign, data, re.DOTALL):
            return media_type
    return None


def media_url(source: MediaSource, kind: str = "image") -> str:
    """The address of a picture or sound.

    Args:
        source: an ``http``, ``https`` or ``data:`` address; the bytes of a file; or its path.
        kind: what it must be: ``"image"``, ``"audio"`` or ``"video"``.

    Raises:
        InvalidRequestError: none of these, a file that cannot be read or is too large, or bytes
            of another kind.
    """
    if isinstance(source, str):
        if not source.startswith(("http://", "https://", f"data:{kind}/")):
            raise InvalidRequestError(
                _(
                    "{source!r} is not an address of a file of type {kind}: it must begin with "
                    "https:// or data:{kind}/. For a file pass pathlib.Path(…) or its bytes."
                ).format(source=source[:80], kind=kind)
            )
        return source
    data = source if isinstance(source, bytes) else _read(source)
    if len(data) > LARGEST_FILE:
        raise InvalidRequestError(
            _(
                "The {kind} has {count:,} bytes; more than {largest_file:,} are not sent. "
                "Make it smaller, or pass its address."
            ).format(kind=kind, count=len(data), largest_file=LARGEST_FILE)
        )
    media_type = media_type_of(data)
    if media_type is None or not media_type.startswith(kind):
        said = (
            _("The bytes are not those of a file of type {kind}, but of {media_type}.")
            if media_type
            else _("The bytes are not those of a file of type {kind}, in any of the usual formats.")
        )
        raise InvalidRequestError(said.format(kind=kind, media_type=media_type))
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _read(path: PurePath) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidRequestError(
            _("The file {path} cannot be read: {strerror}.").format(
                path=path, strerror=error.strerror
            )
        ) from None
