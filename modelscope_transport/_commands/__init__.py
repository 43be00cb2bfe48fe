"""The subcommands of ``modelscope-adapters``, a file each.

Laws of this folder: a file has ``add_arguments(parser)`` and ``run(arguments)``, which returns the
exit code. Only ``ask``, ``chat``, ``batch`` and ``doctor --model`` make paid calls.
"""
