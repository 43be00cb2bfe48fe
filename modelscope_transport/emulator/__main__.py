"""``python -m modelscope_transport.emulator``."""

import sys

from modelscope_transport.emulator.serving import serve

sys.exit(serve())
