"""The context for encrypted connections: one for each file of certificates in the process.

Building one costs more than a hundred calls do.
"""

from __future__ import annotations

import functools
import os
import ssl

import certifi

from ..errors import ConfigurationError
from ..language import translated as _

__all__ = ["tls_context"]


@functools.cache
def tls_context(bundle: str | None = None) -> ssl.SSLContext:
    """A context that checks certificates and host names.

    Args:
        bundle: file or folder of the certificates to trust; by default those of certifi.

    Raises:
        ConfigurationError: there are no certificates to read.
    """
    where = bundle or certifi.where()
    try:
        if os.path.isdir(where):
            context = ssl.create_default_context(capath=where)
        else:
            context = ssl.create_default_context(cafile=where)
    except OSError as error:
        raise ConfigurationError(
            _(
                "The certificates in {where} cannot be read ({strerror}). Set "
                "SSL_CERT_FILE to a file of certificates in PEM form, or unset "
                "SSL_CERT_FILE, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE."
            ).format(where=where, strerror=error.strerror or error)
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context
