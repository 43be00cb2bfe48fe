"""The words of the command ``modelscope-adapters``, a file each.

Laws of this room: a file has ``add_arguments(parser)`` and ``run(arguments)``, which returns the
exit code. None of it makes a paid call.
"""
