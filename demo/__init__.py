"""The main job, end to end, on real input: ``python -m demo`` (or ``make demo``).

With ``MODELSCOPE_API_KEY`` the steps run against the live service. Without it they run against the
project's local service, with a small real model behind it where one can be had: the protocol is
ModelScope's, the words are a model's.
"""
