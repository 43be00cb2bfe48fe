"""How hard the transport is tried.

``HYPOTHESIS_PROFILE=thorough`` gives every property test fifty times the examples.
"""

from __future__ import annotations

import os

from hypothesis import settings

# Two shared cores: an example may wait long for its turn, which says nothing of the code.
settings.register_profile("suite", deadline=None, max_examples=200)
settings.register_profile("thorough", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
