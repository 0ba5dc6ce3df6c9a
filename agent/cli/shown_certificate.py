"""Which certificate consoles are shown over https, for a person who compares it."""

from __future__ import annotations

import msgspec

from agent.http.certificate import CERTIFICATE_FILE, fingerprint
from agent.settings import Settings


class ShownCertificate(msgspec.Struct, kw_only=True):
    """`fingerprint` is `sha256:<64 hex>`, or None with the reason."""

    address: str | None  # where the agent listens; None: https is off
    fingerprint: str | None = None
    reason: str | None = None


def shown_certificate(settings: Settings) -> ShownCertificate:
    """Read the certificate that `agent.yaml` means; nothing is made."""
    https = settings.https
    if https is None:
        return ShownCertificate(address=None, reason="https is off in agent.yaml")
    file = settings.state / CERTIFICATE_FILE
    if https.certificate is not None and https.key is not None:
        file = https.certificate
    shown = ShownCertificate(address=https.address)
    try:
        shown.fingerprint = fingerprint(file)
    except FileNotFoundError:
        shown.reason = f"there is no {file}; the agent makes its own at its first start"
        if file == https.certificate:
            shown.reason = f"there is no {file}"
    except PermissionError:
        shown.reason = f"{file} is not for you; try with sudo"
    except (OSError, ValueError) as error:
        shown.reason = str(error)
    return shown
