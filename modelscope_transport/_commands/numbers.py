"""Numbers of the command line: what is wrong with one is said in one sentence."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from ..language import translated as _

__all__ = ["above", "whole"]


def whole(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``least`` on, for ``type=`` of an option."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            said = _("it must be a whole number from {least} on, and is {text!r}")
            raise argparse.ArgumentTypeError(said.format(least=least, text=text))
        return number

    return read


def above(least: float, most: float = math.inf) -> Callable[[str], float]:
    """A reader of finite numbers above ``least``, for ``type=`` of an option."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and least < number <= most):
            said = _("it must be a number above {least:g}, and is {text!r}")
            if most < math.inf:
                said = _(
                    "it must be a number above {least:g} and at most {most:.0f}, and is {text!r}"
                )
            raise argparse.ArgumentTypeError(said.format(least=least, most=most, text=text))
        return number

    return read
