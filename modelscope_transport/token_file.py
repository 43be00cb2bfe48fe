"""The token that ``modelscope-adapters login`` stored: one file that only its owner can read."""

from __future__ import annotations

import contextlib
from pathlib import Path

import platformdirs

from ._private_file import write_private_file
from .errors import ConfigurationError
from .language import translated as _
from .secret import Secret

__all__ = ["forget_token", "store_token", "stored_token", "token_path"]


def token_path() -> Path:
    """Where the token is stored: in the folder of the user's settings."""
    return Path(platformdirs.user_config_dir("modelscope-adapters", appauthor=False), "token")


def store_token(token: Secret) -> Path:
    """Store a token in place of the last one.

    Returns:
        The file. Its mode is 0600; on Windows the user's own folder keeps others out.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    path = token_path()
    try:
        write_private_file(path, f"{token.reveal()}\n".encode())
    except OSError as error:
        raise ConfigurationError(
            _("The token cannot be stored in {path}: {error}.").format(
                path=path, error=error.strerror
            )
        ) from None
    return path


def stored_token() -> Secret | None:
    """The token that was stored; ``None`` where there is none that can be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        token = token_path().read_text(encoding="utf-8").strip()
        return Secret(token) if token else None
    return None


def forget_token() -> bool:
    """Remove the stored token.

    Returns:
        Whether there was one.

    Raises:
        ConfigurationError: the file cannot be removed.
    """
    try:
        token_path().unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationError(
            _("The token in {path} cannot be removed: {error}.").format(
                path=token_path(), error=error.strerror
            )
        ) from None
    return True
