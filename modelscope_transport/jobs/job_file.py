"""What a job is: kept beside its results, so that ``batch resume`` and ``batch status`` know it.

Laws of this file: no credential gets here. The address of a Redis stands here without its password,
which is looked for in the environment again.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from .._private_file import write_private_file
from ..errors import ConfigurationError
from ..language import translated as _
from ..secret import mask_address
from .rows import Form

__all__ = ["JobFile"]


class JobFile(Struct, kw_only=True, omit_defaults=True):
    """A job of the command.

    Attributes:
        input: the questions, an absolute path.
        form: form of the results.
        model: model ID for lines that name none.
        system: a message put before every chat.
        workers: calls at once.
        skip_bad: whether bad lines are left out.
        base_url: address of the service, where it was given.
        account: name of the account, where it was given.
        ledger: name of the ledger, without credentials; ``"auto"`` where none was given.
        ray: address of the Ray cluster that asks, where one was given.
        items: how many questions there are.
    """

    input: str
    form: Form = "short"
    model: str | None = None
    system: str | None = None
    workers: int = 1
    skip_bad: bool = False
    base_url: str | None = None
    account: str | None = None
    ledger: str = "auto"
    ray: str | None = None
    items: int = 0

    @staticmethod
    def place(results: Path) -> Path:
        """The path of the job that belongs to a file of results."""
        return Path(f"{results}.job")  # not with_name, which fails for a path such as "."

    def write(self, results: Path) -> None:
        """Keep it, readable by its owner alone.

        Raises:
            ConfigurationError: it cannot be written.
        """
        safe = msgspec.structs.replace(self, ledger=mask_address(self.ledger))
        place = self.place(results)
        try:
            write_private_file(place, msgspec.json.encode(safe))
        except OSError as error:
            raise ConfigurationError(
                _(
                    "{place} cannot be written: {cause}. Make room, or name another file for the"
                    " answers."
                ).format(place=place, cause=error.strerror or error)
            ) from None

    @classmethod
    def read(cls, results: Path) -> JobFile:
        """The job of a file of results.

        Raises:
            ConfigurationError: there is none, or it cannot be read.
        """
        place = cls.place(results)
        try:
            return msgspec.json.decode(place.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigurationError(
                _(
                    "{place}, which says what the job of {results} is, cannot be read ({cause}). "
                    "Begin it with `modelscope-adapters batch run IN OUT`; what is in OUT is not "
                    "asked again."
                ).format(
                    place=place, results=results, cause=getattr(error, "strerror", None) or error
                )
            ) from None
