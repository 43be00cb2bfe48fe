"""What the local service did for each request, in one line: for a terminal and for a browser."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from modelscope_transport.emulator.answers import Answer, Raw, Reply
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.language import translated as _
from modelscope_transport.emulator.server import Request


@dataclass(frozen=True, slots=True)
class Call:
    """One request and what became of it.

    Attributes:
        number: Its place in the order of arrival, from 1.
        at: When it arrived, in seconds since the epoch.
        method: The HTTP method.
        path: The path without the query.
        model: The model that was asked; empty where none was.
        status: The HTTP status; 0 where the connection was broken on purpose.
        price: Magicubes that the call cost; 0 where it was free or refused.
        left: Magicubes that are left; None where they are not limited.
    """

    number: int
    at: float
    method: str
    path: str
    model: str
    status: int
    price: float
    left: float | None

    @classmethod
    def of(
        cls, number: int, request: Request, answer: Answer, model: Model | None, left: float | None
    ) -> Call:
        """Describe a request that was answered."""
        status = (
            answer.status if isinstance(answer, Reply) else 0 if isinstance(answer, Raw) else 200
        )
        asked = request.body.get("model") if isinstance(request.body, dict) else None
        price = model.cost if model is not None and status == 200 else 0
        named = model.id if model is not None else str(asked or "")
        return cls(number, request.time, request.method, request.path, named, status, price, left)

    def line(self) -> str:
        """One line for a terminal; control characters of a request do not reach it."""
        time = dt.datetime.fromtimestamp(self.at, dt.UTC).astimezone()
        said = _("{price:.12g} Magicube") if self.price == 1 else _("{price:.12g} Magicubes")
        price = said.format(price=self.price) if self.price else _("free")
        left = "" if self.left is None else _(", {left:.12g} left").format(left=self.left)
        words = (f"{time:%H:%M:%S}", self.method, self.path, self.model, str(self.status or "-"))
        text = "  ".join(filter(None, (*words, price + left)))
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)
