"""`roost release new`: a release of the reference detector, to be changed from there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from agent.protocol.problems import ProblemError
from console.builds.lock import FILE, read_lock
from console.cli.output import say

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,61}")
_HEAD = """\
# Look at it:  roost release check {file} --to SELECTOR
# Let it out:  roost rollout plan {file} --to SELECTOR --archive IMAGES.tar
name: {name}
x-roost:
  rollout:
    # One node first, then a quarter, then all; each is watched before the next.
    waves: [{{nodes: 1}}, {{percent: 25}}]
    soak: 10m
services:
  {name}:
    image: {image}
    # It writes nothing and needs no right.
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    ports: ["{port}:8080"]
    volumes:
      # Models come with `roost bundle make --model {name}/detector.onnx=FILE`.
      - /var/lib/roost/models/{name}:/models:ro
    environment:
      DETECTOR_LABELS: ""
    restart: unless-stopped
    stop_grace_period: 15s
    x-roost:
"""
_VARIANTS = """\
      # Each node takes the best that it has and can run.
      variants:
{variants}
"""
_GPU = """\
      gpu: {{select: least-memory, memory: 2g}}
      # Built on each node for its own GPU; the detector takes ONNX Runtime where there is none.
      engine: {{onnx: {name}/detector.onnx, required: false}}
"""
_TAIL = """\
      strategy: {strategy}
      probes:
        - http: {{port: 8080, path: /readyz}}
      soak: 30s
"""


@click.command("new")
@click.argument("name")
@click.option(
    "--output", "-o", "file", type=click.Path(path_type=Path), help="Write it there: NAME.yaml."
)
@click.option("--image", "images", metavar="IMAGE", multiple=True, help="Of one or more variants.")
@click.option("--gpu", is_flag=True, help="On a GPU, with an engine built on each node.")
@click.option(
    "--strategy",
    type=click.Choice(["stop-then-start", "start-then-stop", "weighted"]),
    default="weighted",
    show_default=True,
    help="How one version gives way to the next on a node.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option(
    "--images-folder",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("images"),
    show_default=True,
    help="Whose image-manifest.lock.json says what was built, where no --image is named.",
)
def command(
    name: str,
    file: Path | None,
    images: Sequence[str],
    strategy: str,
    port: int,
    folder: Path,
    *,
    gpu: bool,
) -> int:
    """Write a release NAME of the detector that `roost image build` built.

    A file that is there is never written over.
    """
    if _NAME.fullmatch(name) is None:
        raise ProblemError(
            "console.usage",
            f"{name[:80]!r} is no name of a release",
            hint="Lower-case letters, digits, - and _: detector",
        )
    images = images or built(folder)
    file = file or Path(f"{name}.yaml")
    text = release_text(
        name, images, file=shlex.quote(file.name), gpu=gpu, strategy=strategy, port=port
    )
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise ProblemError(
            "console.usage", f"{file} is there already", hint="Name another file: --output FILE"
        ) from None
    except OSError as error:
        raise ProblemError(
            "build.files", f"{file}: {error.strerror}", hint="Name another file: --output FILE"
        ) from None
    say(f"{file}: look at it with: roost release check {shlex.quote(str(file))}")
    return 0


def built(folder: Path) -> list[str]:
    """The images that the lock says were built. Raises ProblemError `build.files`."""
    lock = read_lock(folder / FILE)
    found = [each.image.tag for each in lock.variants.values() if each.image is not None]
    if not found:
        raise ProblemError(
            "build.files",
            f"{folder / FILE} names no image that was built",
            params={"file": str(folder / FILE)},
            hint="Build one: roost image build cpu. Or name one: --image IMAGE",
        )
    return found


def release_text(
    name: str, images: Sequence[str], *, file: str, gpu: bool, strategy: str, port: int
) -> str:
    """The Compose file; the first image is the service's own, the others are its variants."""
    text = _HEAD.format(file=file, name=name, image=images[0], port=port)
    if len(images) > 1:
        text += _VARIANTS.format(variants="\n".join(f"        - {each}" for each in images[1:]))
    if gpu:
        text += _GPU.format(name=name)
    return text + _TAIL.format(strategy=strategy)
