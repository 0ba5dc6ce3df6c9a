"""The agent's own TLS certificate: made once, pinned by consoles at first contact."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from pathlib import Path

from agent.durable import write_whole

# Consoles pin the certificate itself, so its dates mean nothing to them; nodes' clocks are
# often wrong. Long enough never to matter to other clients either.
LIFETIME_DAYS = 36500
CERTIFICATE_FILE, KEY_FILE = "tls.crt", "tls.key"


def ensure_certificate(folder: Path, *, name: str) -> tuple[Path, Path]:
    """Paths of certificate and key (PEM) in `folder`; made there if they are missing."""
    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    if not (certificate.exists() and key.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        certificate_pem, key_pem = _make(name)
        write_whole(key, key_pem)
        write_whole(certificate, certificate_pem, mode=0o644)
    return certificate, key


def fingerprint(certificate: Path) -> str:
    """`sha256:<64 hex>` of the certificate's DER form, as consoles pin it.

    Of a chain it is the first one's, which is the one that is shown. ValueError: there is none.
    """
    text = certificate.read_text(encoding="utf-8", errors="replace")
    _, begin, rest = text.partition(ssl.PEM_HEADER)
    body, end, _ = rest.partition(ssl.PEM_FOOTER)
    if not (begin and end):
        raise ValueError(f"{certificate} has no certificate in PEM form")
    der = ssl.PEM_cert_to_DER_cert(f"{begin}{body}{end}")
    return "sha256:" + hashlib.sha256(der).hexdigest()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and newer, with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _make(name: str) -> tuple[bytes, bytes]:
    # Imported here: needed once in a node's life, and 10 MB of the agent's memory.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    # A node's clock may stand at 1970 or years ahead.
    start = dt.datetime(1970, 1, 2, tzinfo=dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=2 * LIFETIME_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name[:64])]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
