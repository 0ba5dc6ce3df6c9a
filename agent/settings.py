"""agent.yaml."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from agent.protocol.problems import ProblemError
from agent.protocol.settings import convert_settings
from agent.yaml_text import read_document, read_tree

DEFAULT_FILE = Path("/etc/roost/agent.yaml")


NodeName = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]


class HttpsSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The TLS listener; off unless this is in the file."""

    address: str = "0.0.0.0:7443"
    certificate: Path | None = None  # PEM; made in the state folder if not given
    key: Path | None = None


class PolicySettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What the node insists on, whoever asks."""

    require_signature: bool = False  # only images and kits that a trusted key has signed
    # Workloads may bind folders, and engines be built from files, below these only; empty: any.
    # Pins keep what a container has.
    volume_roots: list[Path] = []
    privileged: bool = True  # whether workloads may be privileged


class AlertSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """From where on the doctor tells."""

    # Of a GPU's memory, in use; null: never.
    gpu_memory_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] | None = 80.0


class EngineSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Building TensorRT engines on the node itself."""

    python: Path | None = None  # that has TensorRT; null: the system's, then the agent's own
    keep: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3  # engines of each model


class TrafficSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The proxies of workloads that are weighted."""

    # auto: systemd where that runs and HAProxy is installed, else containers.
    run_by: Literal["auto", "systemd", "container"] = "auto"
    image: str = "haproxy:3.0"  # of the containers; it has `haproxy` in its PATH


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All that agent.yaml may say. A socket set to null is not opened."""

    name: NodeName = msgspec.field(default_factory=socket.gethostname)
    state: Path = Path("/var/lib/roost")
    operator_socket: Path | None = Path("/run/roost/agent.sock")
    admin_socket: Path | None = Path("/run/roost/admin.sock")
    viewer_socket: Path | None = Path("/run/roost/view.sock")
    group: str = "roost"  # may use the operator and viewer sockets
    https: HttpsSettings | None = None
    # "10.0.0.5:7444": serves layers to the other nodes of its site; off unless it is here.
    site_listen: str | None = None
    runtime: str | None = None  # "unix:///var/run/docker.sock"; found by itself if not given
    policy: PolicySettings = PolicySettings()
    alerts: AlertSettings = AlertSettings()
    engines: EngineSettings = EngineSettings()
    traffic: TrafficSettings = TrafficSettings()
    trusted_keys: Path = Path("/etc/roost/trusted-keys")  # a folder
    secrets: Path = Path("/etc/roost/secrets")  # a folder with a file for each

    compatibility: Path = Path("/etc/roost/compatibility.json")  # rows for its tables; need not be

    @property
    def database(self) -> Path:
        return self.state / "agent.db"


def load_settings(file: Path | None) -> Settings:
    """Read agent.yaml. Without a file named, the default one may be missing.

    Raises:
        ProblemError: `settings.*`, with file and line.
    """
    path = file or DEFAULT_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if file is None:
            return Settings()
        raise ProblemError(
            "settings.unreadable",
            f"{path} does not exist",
            params={"file": str(path)},
            hint="Name an agent.yaml that exists, or leave --config out.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(
            "settings.unreadable",
            f"{path}: {error}",
            params={"file": str(path)},
            hint="Check the file's permissions and that it is UTF-8.",
        ) from None
    return parse_settings(text, file=str(path))


def parse_settings(text: str, *, file: str) -> Settings:
    """The settings in `text`; `file` is only for messages."""
    document = read_document(text, file=file)
    if document is None:
        return Settings()
    settings = convert_settings(document, Settings, file=file, tree=lambda: read_tree(text))
    https = settings.https
    if https is not None and (https.certificate is None) != (https.key is None):
        given, missing = ("key", "certificate") if https.key else ("certificate", "key")
        raise ProblemError(
            "settings.invalid",
            f"{file}: https.{given} is given and https.{missing} is not",
            params={"file": file},
            hint="Give both, or neither: then the agent makes its own.",
        )
    return settings


def told(settings: Settings) -> dict[str, str]:
    """All settings as texts, by dotted key: "policy.privileged". There is no secret among them."""
    found: dict[str, str] = {}

    def add(value: object, key: str) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                add(each, f"{key}.{name}" if key else name)
        else:
            found[key] = json.dumps(value)

    add(msgspec.to_builtins(settings, enc_hook=str), "")
    return found
