"""The only folder that knows the service's JSON field names and headers.

One file a subject: ``encode`` turns a request of `types` into a body, ``decode`` a body into a
result. Nothing here sends, waits or decides; ``failures`` says what a reply means.
"""
