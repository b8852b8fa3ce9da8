"""Whose certificates are believed: the system's, or those of `PADDOCK_CA_BUNDLE`."""

import os
import ssl

from paddock.errors import ConfigurationError

CA_BUNDLE = "PADDOCK_CA_BUNDLE"
"""A file with certificates, PEM, that are trusted instead of the system's."""


def tls_for(url: str) -> ssl.SSLContext | None:
    """How to speak TLS with `url`; None: as usual, or without it. Read anew for each connection.

    Raises ConfigurationError when the variable names a file that is no bundle of certificates.
    """
    path = os.environ.get(CA_BUNDLE)
    if not path or not url.startswith(("https://", "wss://")):
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as why:  # also what is no certificate: SSLError is an OSError
        raise ConfigurationError(
            f"{CA_BUNDLE}={path}: {why.strerror or why}; name a file of certificates in PEM"
        ) from None
