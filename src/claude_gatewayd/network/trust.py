"""Which certificates are trusted: decided here, for Anthropic, for Bedrock and for AWS's other services alike."""

import os
import ssl
import stat
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

# They name a whole store, which stands in the place of the system's: the first that is set counts.
STORES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_DIRECTORY: Final = "SSL_CERT_DIR"
_EXTRA: Final = "NODE_EXTRA_CA_CERTS"  # what Claude Code itself reads, and where companies put their CA for it
_LONGEST: Final = 200  # of a name in a certificate


class CaFile(NamedTuple):
    """A file of certificates, and where it is named."""

    place: str
    path: str


class CaFileInvalid(Exception):
    """Say which file cannot be used."""

    def __init__(self, file: CaFile, why: str) -> None:
        super().__init__(f"{file.place}: {file.path} is no file of certificates: {why}")
        self.file = file
        self.why = why


class Trust(NamedTuple):
    """What is trusted: *store* and *directory* in place of the system's where one is named, and *added* too."""

    store: CaFile | None = None
    directory: str = ""
    added: tuple[CaFile, ...] = ()


def decide(environ: Mapping[str, str], *named: CaFile | None) -> Trust:
    """Return what is trusted by the variables that every tool reads, and by files *named* elsewhere, which add to it.

    A company's CA is often all that such a file holds, and not everything is inspected: so it never stands alone.
    """
    store = next((CaFile(f"environment {name}", environ[name]) for name in STORES if environ.get(name)), None)
    added = [file for file in named if file is not None]
    if os.path.isfile(environ.get(_EXTRA, "")):  # Node warns of one that is not there, and goes on
        added.append(CaFile(f"environment {_EXTRA}", environ[_EXTRA]))
    return Trust(store, environ.get(_DIRECTORY, ""), tuple(added))


def context_for(trust: Trust) -> ssl.SSLContext:
    """Return what certificates are checked with; the host's name always is. Raises CaFileInvalid."""
    if trust.store is not None:
        context = _load(None, trust.store)
    elif trust.directory:
        context = ssl.create_default_context(capath=trust.directory)
        usual = ssl.get_default_verify_paths().openssl_cafile
        if os.path.isfile(usual):
            context.load_verify_locations(usual)
    else:
        context = ssl.create_default_context()
        paths = ssl.get_default_verify_paths()
        if not context.cert_store_stats()["x509_ca"] and paths.cafile is None and paths.capath is None:
            import certifi  # here, for most systems have certificates of their own

            context.load_verify_locations(certifi.where())  # python.org's on macOS has none of its own
    if trust.store is not None and trust.directory:
        context.load_verify_locations(capath=trust.directory)
    for file in trust.added:
        _load(context, file)
    if trust.store is not None or trust.directory or trust.added:
        # RFC 5280 to the letter, which Python asks for since 3.13: the CAs of much that inspects TLS lack a critical
        # basicConstraints. Whoever named one wants it trusted.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext | None, file: CaFile) -> ssl.SSLContext:
    try:
        if not stat.S_ISREG(os.stat(file.path).st_mode):  # OpenSSL waits for ever for a pipe that nobody writes to
            raise CaFileInvalid(file, "it is not a regular file")
        if context is None:
            return ssl.create_default_context(cafile=file.path)
        context.load_verify_locations(file.path)
    except ssl.SSLError as error:
        raise CaFileInvalid(file, error.reason or "it cannot be parsed") from None
    except OSError as error:
        raise CaFileInvalid(file, os.strerror(error.errno) if error.errno else str(error)) from None
    except ValueError as error:  # a NUL in the path
        raise CaFileInvalid(file, str(error)) from None
    return context


class Peer(NamedTuple):
    """The subject and the issuer of a certificate, as it names them."""

    subject: str
    issuer: str

    def __str__(self) -> str:
        """Return both for a person."""
        return f"it is of {self.subject}, signed by {self.issuer}"


def unverified_context() -> ssl.SSLContext:
    """Return a context that trusts every certificate: to look at one, and never for anything that a person sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def peer_of(handshake: Any) -> Peer | None:
    """Return who is at the other end, by an SSLObject that `unverified_context` has made; None where nobody says."""
    try:
        found = handshake._sslobj.get_unverified_chain()[0].get_info()  # `getpeercert` has only what was verified
    except (AttributeError, IndexError, TypeError, ssl.SSLError):
        return None
    return Peer(_name(found.get("subject", ())), _name(found.get("issuer", ())))


def _name(parts: Any) -> str:
    """Return a name of X.500 by its common name, else by all of it; whoever wrote it may have written anything."""
    pairs = [pair for part in parts for pair in part]
    common = [value for kind, value in pairs if kind == "commonName"]
    text = common[-1] if common else ", ".join(value for _, value in pairs)
    return "".join(c if c.isprintable() else "?" for c in text)[:_LONGEST] or "nobody"


_CLOCK: Final = "look at this machine's clock"
_SOMEBODY_ELSE: Final = "somebody else answers in its place: a login page of the network, or a proxy"
# Verify errors of OpenSSL (openssl/x509_vfy.h) that no CA file fixes, and what does: a sentence and a command.
_OTHER_CAUSES: Final = {
    9: (_CLOCK, "date"),  # CERT_NOT_YET_VALID
    10: (_CLOCK, "date"),  # CERT_HAS_EXPIRED
    62: (_SOMEBODY_ELSE, ""),  # HOSTNAME_MISMATCH
    64: (_SOMEBODY_ELSE, ""),  # IP_ADDRESS_MISMATCH
}
_NAME_IT: Final = "claude-gatewayctl config set network.ca_file ~/company-ca.pem --reload"
_EXPORT: Final = "security find-certificate -a -p /Library/Keychains/System.keychain > ~/company-ca.pem"


def advice(verify_code: int, platform: str = sys.platform) -> tuple[str, str]:
    """Return what to do about a certificate that is not trusted: a sentence, and a command ("" if there is none)."""
    if verify_code in _OTHER_CAUSES:
        return _OTHER_CAUSES[verify_code]
    # OpenSSL does not read the keychain, as Claude Code does
    command = f"{_EXPORT} && {_NAME_IT}" if platform == "darwin" else _NAME_IT
    return "if your company inspects TLS, set [network] ca_file to its certificate", command
