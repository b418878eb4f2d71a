"""Whom we believe to be who they say, and what we show them.

Law: what is configured for an upstream holds at its own host and port. Whoever it
sends us to is never believed unverified, and never shown its client certificate; a CA
is trusted there too, since a company's token service is signed by it as well.
"""

import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx


@dataclass(frozen=True, slots=True)
class Contexts:
    """TLS with the upstream's own host and port, and with everybody else."""

    own: ssl.SSLContext
    others: ssl.SSLContext


@cache
def system_certificates() -> ssl.SSLContext:
    """Return the system's certificate store, with a company's own CA, or httpx's.

    OpenSSL itself reads SSL_CERT_FILE and SSL_CERT_DIR.
    """
    return _new_context()


def _new_context() -> ssl.SSLContext:
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        return ssl.create_default_context()
    return httpx.create_ssl_context(trust_env=False)


def system_contexts() -> Contexts:
    """Trust whom the system trusts, everywhere."""
    return Contexts(system_certificates(), system_certificates())


def load_contexts(
    *,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    insecure: bool = False,
) -> Contexts:
    """Read the files, PEM all of them; `key` None: it is in `cert`'s file.

    Raises:
        ValueError: a file that cannot be read or holds something else; it is named.

    """
    others = system_certificates()
    if ca is not None:
        others = _new_context()
        _trust(others, ca)
    if cert is None and not insecure:
        return Contexts(others, others)
    own = _new_context()
    if ca is not None:
        _trust(own, ca)
    if cert is not None:
        _show(own, cert, key)
    if insecure:
        own.check_hostname = False
        own.verify_mode = ssl.CERT_NONE
    return Contexts(own, others)


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise ValueError(f"ca: {ca} holds no certificate in PEM") from error
    except OSError as error:
        raise ValueError(f"ca: {ca}: {error.strerror}") from error


def _show(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    for name, file in (("cert", cert), ("key", key)):
        try:
            if file is not None:
                file.read_bytes()
        except OSError as error:
            raise ValueError(f"{name}: {file}: {error.strerror}") from error

    def refuse() -> str:
        # Without this OpenSSL asks on the terminal.
        raise ValueError("key: it is encrypted; a daemon has nobody to ask")

    try:
        context.load_cert_chain(cert, key, refuse)
    except ssl.SSLError as error:
        raise ValueError(
            f"cert: {cert} and {key or 'the same file'} are no certificate and its key"
            " in PEM"
        ) from error
