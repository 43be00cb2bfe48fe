"""What a token can settle in five minutes: ``python -m live`` (or ``make live``).

Much of what this project knows of the service was read, not tried: in documents, in other clients,
in recordings. This program tries what a call can settle, for at most 15 Magicubes, and prints which
of it is confirmed, contradicted or still open. With ``MODELSCOPE_API_KEY`` it asks the service;
without one it runs whole against the local service, to show that it works.
"""
