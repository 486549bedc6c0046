"""Redirects of web servers."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import ssl
import subprocess
import sys

import pytest
from helpers.zoo_fixtures import MODEL, NAME, cached_folders
from helpers.zoo_server import Server

import scbasset_zoo as sz
from scbasset_zoo.errors import PackageError, SourceError


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "s3://bucket/x", "data:,x"])
@pytest.mark.parametrize("path", ["index.json", MODEL])
def test_redirects_out_of_the_web_are_refused(web, tmp_path, path, target):
    web.redirects[path] = target
    with pytest.raises((PackageError, SourceError), match="redirects to") as error:
        sz.pull(NAME)
    assert f"{target}, which is refused" in str(error.value)
    assert cached_folders(tmp_path) == []


def test_redirects_within_the_web_are_followed(web):
    (web.folder / "elsewhere").write_bytes((web.folder / MODEL).read_bytes())
    web.redirects[MODEL] = "/elsewhere"
    assert sz.pull(NAME).verify() == []


def test_redirects_from_https_to_http_are_refused(web, tmp_path):
    """A server with a certificate of its own, which only the child process trusts."""
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    environment = os.environ | {"SSL_CERT_FILE": str(certificate)}
    with Server(web.folder, context) as secure:
        code = f"import scbasset_zoo as sz; print(sz.pull('{secure.url}/lab/blood/1.0.0').card.id)"
        run = lambda: subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)  # noqa: E731
        assert run().stdout.strip() == NAME
        shutil.rmtree(tmp_path / "cache")
        secure.redirects[MODEL] = f"{web.url}/{MODEL}"
        for header in ("Location", "URI"):
            secure.redirect_header = header
            assert "which is refused" in run().stderr
        assert cached_folders(tmp_path) == []


def _certificate(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
