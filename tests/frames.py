"""What a traceback that shows local variables would show."""

from __future__ import annotations

import traceback

__all__ = ["nothing_is_shown"]


def nothing_is_shown(error: BaseException, canary: str) -> None:
    """Assert that no frame below the test's own, which holds it on purpose, holds the canary."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert len(frames) > 2
    for frame in frames[1:]:
        # an object that is half made has no repr
        shown = {name: it for name, it in frame.f_locals.items() if name != "self"}
        assert canary not in repr(shown), frame.f_code
