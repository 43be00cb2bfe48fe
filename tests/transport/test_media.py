"""Pictures and sounds on their way to the service."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import InvalidRequestError
from modelscope_transport.media import LARGEST_FILE, media_type_of, media_url

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (WAV, "audio/wav"),
        (b"ID3\x04", "audio/mpeg"),
        (b"fLaC", "audio/flac"),
        (b"\x00\x00\x00\x18ftypmp42", "video/mp4"),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_a_file_is_known_by_its_first_bytes(data: bytes, kind: str | None) -> None:
    assert media_type_of(data) == kind


@pytest.mark.parametrize(
    "url", ["https://a.example/x", "http://a.example/x", "data:image/png;base64,eA=="]
)
def test_an_address_is_passed_on(url: str) -> None:
    assert media_url(url) == url


def test_bytes_and_paths_become_addresses(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"  # its name is not believed
    path.write_bytes(PNG)
    expected = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert media_url(PNG) == media_url(path) == expected


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "picture.png", "file:///etc/passwd", "~/x.png", ""]
)
def test_a_text_is_never_a_file(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"pathlib\.Path"):
        media_url(text)


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        media_url("data:text/html;base64,eA==")
    with pytest.raises(InvalidRequestError, match="type audio, but of image/png"):
        media_url(PNG, "audio")


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        media_url(tmp_path / "none.png")
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        media_url(tmp_path)
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.write(PNG)
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(InvalidRequestError, match="not sent"):
        media_url(large)


@given(st.binary(max_size=40))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    known = (media_type_of(data) or "").startswith("image/")
    try:
        assert media_url(data).startswith("data:image/")
    except InvalidRequestError:
        assert not known
