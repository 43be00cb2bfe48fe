"""An account on the local service, with a ledger of its own, for what the pages show of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from modelscope_transport.emulator import LocalService

__all__ = ["local_account"]


@contextlib.contextmanager
def local_account(
    allowance: str, clock: Callable[[], float] = time.time
) -> Iterator[tuple[LocalService, str]]:
    """The service and the folder of the ledger; the environment's settings name both.

    Args:
        allowance: what the account has, as `LocalService` takes it.
        clock: the service's time, seconds since 1970.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalService(allowance=allowance, clock=clock) as service,
    ):
        settings = {
            "MODELSCOPE_API_KEY": service.token,
            "MODELSCOPE_API_BASE": service.base_url,
            "MODELSCOPE_LEDGER": str(Path(folder, "ledger.sqlite3")),
            "XDG_CACHE_HOME": folder,
        }
        with mock.patch.dict(os.environ, settings):
            yield service, folder
