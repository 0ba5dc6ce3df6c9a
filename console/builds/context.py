"""What a build gets: a Dockerfile for one variant, its requirements, the application, wheels.

The same files make the same bytes, whoever has them and whenever: times and owners are fixed.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.protocol.problems import ProblemError
from console.builds.matrix import Variant
from console.kits.locked import locked_for

# Where the application lies in the image, and what it is called there.
PLACE = "opt/detector/app/detector_server"
SOURCE, DOCKERFILE = "server", "Dockerfile"
# The Dockerfile's line after which a variant's variables stand.
MARK = "# The variant's own variables: `roost image build` writes them here."
# Of the application's folder: byte code, what is hidden, what editors leave.
_LEFT_OUT = re.compile(r"__pycache__|\..*|.*~")


class Rendered(msgspec.Struct, kw_only=True, frozen=True):
    """A build without its wheels, which the requirements' hashes vouch for."""

    dockerfile: bytes
    requirements: bytes
    application: bytes  # a tar

    @property
    def digest(self) -> str:
        """Of all of it; hexadecimal."""
        parts = (self.dockerfile, self.requirements, self.application)
        whole = b"".join(hashlib.sha256(part).digest() for part in parts)
        return hashlib.sha256(whole).hexdigest()


def render(folder: Path, variant: Variant) -> Rendered:
    """Raises ProblemError `build.files`."""
    dockerfile = _text(folder / DOCKERFILE)
    if MARK not in dockerfile:
        raise ProblemError(
            "build.files",
            f"{folder / DOCKERFILE} has no line {MARK!r}",
            params={"file": str(folder / DOCKERFILE)},
            hint="It marks where a variant's variables go.",
        )
    return Rendered(
        dockerfile=dockerfile.replace(MARK, _environment(variant)).encode(),
        requirements=_requirements(folder / variant.requirements, variant),
        application=_application(folder / SOURCE),
    )


def write_context(rendered: Rendered, wheelhouse: Path | None, out: BinaryIO) -> str:
    """The context as a tar, with each wheel that lies in `wheelhouse`; its digest "sha256:...".

    `out` is a temporary file.

    Raises:
        ProblemError: `build.files`, `console.unwritable`.
    """
    hashing = _Hashing(out)
    try:
        _write(rendered, wheels(wheelhouse), hashing)
        out.flush()
    except OSError as error:
        raise ProblemError(
            "console.unwritable",
            f"the context cannot be written to {tempfile.gettempdir()}: {error.strerror}",
            params={"file": tempfile.gettempdir()},
            hint="Make room there, or name another folder in TMPDIR.",
        ) from None
    return f"sha256:{hashing.digest.hexdigest()}"


def _write(rendered: Rendered, found: Iterable[Path], out: BinaryIO | io.RawIOBase) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (
            (DOCKERFILE, rendered.dockerfile),
            ("requirements.txt", rendered.requirements),
            ("app.tar", rendered.application),
        ):
            _add(tar, name, data)
        tar.addfile(_entry("wheelhouse", tarfile.DIRTYPE, 0o755))
        for wheel in found:
            _add(tar, f"wheelhouse/{wheel.name}", _read(wheel))


def wheels(wheelhouse: Path | None) -> list[Path]:
    """Those that lie there. Raises ProblemError `build.files`: there are none."""
    if wheelhouse is None:
        return []
    found = sorted(wheelhouse.glob("*.whl"))
    if not found:
        raise ProblemError(
            "build.files",
            f"{wheelhouse}: no wheels lie there",
            params={"file": str(wheelhouse)},
            hint="Fill it where there is a network: pip download --require-hashes -d DIR -r FILE",
        )
    return found


def labels_of(variant: Variant, rendered: Rendered, *, base: str) -> Mapping[str, str]:
    """What the image says of itself; preflight reads NVIDIA's."""
    known = {
        "com.nvidia.cuda.version": variant.cuda,
        "com.nvidia.tensorrt.version": variant.tensorrt,
        "roost.minimum-driver": variant.minimum_driver,
        "roost.compute-capabilities": ",".join(variant.compute_capabilities) or None,
    }
    return {
        "org.opencontainers.image.title": "roost detector",
        "org.opencontainers.image.base.name": base,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "roost.variant": variant.name,
        "roost.content": rendered.digest,
        **{name: value for name, value in known.items() if value is not None},
        **variant.labels,
    }


def _requirements(file: Path, variant: Variant) -> bytes:
    """As this Python on this platform needs them, without markers."""
    arch = "aarch64" if variant.platform.endswith("arm64") else "x86_64"
    return locked_for(_text(file), python=variant.python, arch=arch).encode()


def _environment(variant: Variant) -> str:
    """What the server and preflight read; a base of NVIDIA's says the same, most of the time."""
    known = {"CUDA_VERSION": variant.cuda, "TENSORRT_VERSION": variant.tensorrt}
    said = [f'ENV {name}="{value}"' for name, value in known.items() if value is not None]
    if variant.cuda is not None:
        said.append('ENV NVIDIA_DRIVER_CAPABILITIES="compute,utility"')
    return "\n".join(said) or f"# {variant.name} has none."


def _application(source: Path) -> bytes:
    """A tree with the folders above it, so that unpacking it changes nobody's times."""
    files = [
        path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not any(map(_LEFT_OUT.fullmatch, path.relative_to(source).parts))
    ]
    if not files:
        raise ProblemError(
            "build.files",
            f"{source}: there is no application",
            params={"file": str(source)},
            hint="`folder` in the matrix names the folder that has it.",
        )
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in _folders(PLACE, (path.relative_to(source) for path in files)):
            tar.addfile(_entry(folder, tarfile.DIRTYPE, 0o755))
        for path in files:
            _add(tar, f"{PLACE}/{path.relative_to(source).as_posix()}", _read(path))
    return made.getvalue()


def _folders(place: str, files: Iterable[Path]) -> list[str]:
    whole = {Path(place) / file for file in files}
    above = {parent.as_posix() for path in whole for parent in path.parents}
    return sorted(above - {"."})


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = _entry(name, tarfile.REGTYPE, 0o644)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    """Root's, of 1970."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def _text(file: Path) -> str:
    try:
        return _read(file).decode()
    except UnicodeDecodeError:
        raise _wrong(file, "it is no text") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _wrong(file, error.strerror or str(error)) from None


def _wrong(file: Path, why: str) -> ProblemError:
    return ProblemError(
        "build.files",
        f"{file}: {why}",
        params={"file": str(file)},
        hint="`roost image build` wants the whole images/ folder.",
    )


class _Hashing(io.RawIOBase):
    """Writes to a file, and hashes what it writes."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self.digest = out, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile gives bytes alone
        self.digest.update(data)
        return self._out.write(data)
