"""Whom we believe, by what people set; and that a CA which a person has named is believed though it is a sloppy one."""

import datetime
import os
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from claude_gatewayd.network.trust import CaFile, CaFileInvalid, Trust, advice, context_for, decide


@pytest.fixture
def extra(tmp_path: Path) -> str:
    file = tmp_path / "extra.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return str(file)


def test_what_people_set_decides(extra: str) -> None:
    named = CaFile("[network] ca_file", "/company.pem")
    node = CaFile("environment NODE_EXTRA_CA_CERTS", extra)
    first = CaFile("environment SSL_CERT_FILE", "/a")
    for environ, files, trust in (
        ({}, (), Trust()),
        ({}, (None,), Trust()),
        ({}, (named,), Trust(added=(named,))),
        ({"SSL_CERT_FILE": "/a", "REQUESTS_CA_BUNDLE": "/b"}, (), Trust(first)),
        ({"REQUESTS_CA_BUNDLE": "/b"}, (), Trust(CaFile("environment REQUESTS_CA_BUNDLE", "/b"))),
        ({"CURL_CA_BUNDLE": "/c", "SSL_CERT_DIR": "/d"}, (), Trust(CaFile("environment CURL_CA_BUNDLE", "/c"), "/d")),
        ({"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/d"}, (), Trust(None, "/d")),
        ({"NODE_EXTRA_CA_CERTS": extra}, (named,), Trust(added=(named, node))),
        ({"NODE_EXTRA_CA_CERTS": "/no/such/file"}, (), Trust()),  # Node warns, and goes on
        ({"AWS_CA_BUNDLE": "/a"}, (), Trust()),  # for AWS alone
    ):
        assert decide(environ, *files) == trust


def test_a_store_in_a_directory(tmp_path: Path) -> None:
    authority, certificate = sloppy(tmp_path, critical=True)
    hashed = tmp_path / "hashed"
    hashed.mkdir()
    (hashed / f"{_subject_hash(authority)}.0").write_text(authority.read_text())
    assert handshake(context_for(decide({"SSL_CERT_DIR": str(hashed)})), certificate) == ""
    (tmp_path / "empty").mkdir()
    assert "unable to get local issuer" in handshake(
        context_for(decide({"SSL_CERT_DIR": str(tmp_path / "empty")})), certificate
    )


@pytest.mark.parametrize("where", ["ca_file", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
def test_a_ca_without_critical_basic_constraints_is_taken_where_a_person_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Python refuses it since 3.13, by a flag that this test sets in the older ones as well."""
    as_313(monkeypatch)
    authority, certificate = sloppy(tmp_path, critical=False)
    named = CaFile("[network] ca_file", str(authority)) if where == "ca_file" else None
    context = context_for(decide({} if named else {where: str(authority)}, named))
    assert handshake(context, certificate) == ""
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert "Hostname mismatch" in handshake(context, certificate, "other.test")
    strict = ssl.create_default_context(cafile=str(authority))
    assert "asic Constraints of CA cert not marked critical" in handshake(strict, certificate)


def test_what_nobody_named_is_checked_as_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    as_313(monkeypatch)
    assert context_for(Trust()).verify_flags & ssl.VERIFY_X509_STRICT


def test_a_file_that_cannot_be_used_says_where_it_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for environ, named, place in (
        ({"SSL_CERT_FILE": str(empty)}, None, "environment SSL_CERT_FILE"),
        ({"NODE_EXTRA_CA_CERTS": str(empty)}, None, "environment NODE_EXTRA_CA_CERTS"),
        ({}, CaFile("[network] ca_file", str(tmp_path / "absent")), "[network] ca_file"),
    ):
        with pytest.raises(CaFileInvalid) as caught:
            context_for(decide(environ, named))
        assert caught.value.file.place == place
        assert "is no file of certificates" in str(caught.value)


def test_a_path_that_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (str(pipe), str(tmp_path), "/dev/zero", "/a\0b", "/" + "a" * 5000):
        for trust in (Trust(CaFile("there", path)), Trust(added=(CaFile("there", path),))):
            with pytest.raises(CaFileInvalid):
                context_for(trust)


def test_the_hint_is_a_command() -> None:
    for code, platform, word, command in (
        (20, "linux", "[network] ca_file", "claude-gatewayctl config set network.ca_file ~/company-ca.pem --reload"),
        (18, "darwin", "[network] ca_file", "security find-certificate -a -p /Library/Keychains/System.keychain > "),
        (10, "linux", "clock", "date"),
        (62, "linux", "somebody else answers", ""),
    ):
        words, helps = advice(code, platform)
        assert word in words
        assert helps.startswith(command)
        assert ("ca_file" in words) == ("ca_file" in helps)


def as_313(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the standard library make contexts as it does since Python 3.13."""
    usual = ssl.create_default_context

    def create_default_context(**given: str | None) -> ssl.SSLContext:
        context = usual(**given)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create_default_context)


def handshake(client: ssl.SSLContext, certificate: Path, host: str = "upstream.test") -> str:
    """Return why a client refuses the certificate, "" if it does not."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (ours, theirs, ours, theirs):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return ""


def sloppy(directory: Path, *, critical: bool) -> tuple[Path, Path]:
    """Return an authority as appliances that inspect TLS have it, and a certificate of its for upstream.test."""
    key, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Inspector Root CA")])
    authority = (
        _certificate(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=critical)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    of_leaf = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "upstream.test")])
    signed = (
        _certificate(of_leaf, name, leaf)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("upstream.test")]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (directory / "authority.pem").write_bytes(authority.public_bytes(pem))
    private = leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (directory / "leaf.pem").write_bytes(private + signed.public_bytes(pem))
    return directory / "authority.pem", directory / "leaf.pem"


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    """Return a certificate that is still to be signed, by *issuer*; the key in it is the subject's."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _subject_hash(authority: Path) -> str:
    """Return the name by which OpenSSL looks for a certificate in a directory."""
    import subprocess

    command = ["openssl", "x509", "-noout", "-hash", "-in", str(authority)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
