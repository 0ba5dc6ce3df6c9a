"""What `roost bundle make` takes: archives, a release, and models on their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.archives.carried_files import LooseFile
from agent.archives.index import ArchiveIndex
from agent.protocol.node_files import FILES_LIMIT
from agent.protocol.problems import ProblemError
from console.cli.image_options import ARCHIVE_SUFFIXES, read_archives
from console.cli.output import say
from console.cli.release_reading import read_release
from console.cli.setup import Setup
from console.cli.workload_options import Asked, tell_problems
from console.images.release_files import image_names, model_files, release_files
from console.rollouts.parcels import Parcels
from console.text import clean, plural

RELEASE_SUFFIXES = (".yaml", ".yml")
# Where images of a release lie whose archives nobody names.
FOUND_IN = (".", "images")
NAMED = 5


class Sources:
    """What goes into a bundle. `asked` has the release's files, or none."""

    def __init__(self, archives: Sequence[Path], asked: Asked, models: Sequence[str]) -> None:
        self._archives, self._asked, self._models = archives, asked, models

    def read(
        self, setup: Setup, *, base: ArchiveIndex | None, but: Path
    ) -> tuple[list[ArchiveIndex], list[LooseFile]]:
        """The archives with the images that are wanted, and the files beside them.

        Args:
            base: the bundle that nodes have already; images of the release may be from it.
            but: the file that is written.

        Raises:
            ProblemError: `archive.*`, `bundle.*`, `engine.onnx`, `file.*`, `compose.*`, `fleet.*`,
                `console.usage`.
        """
        given = read_archives(self._archives)
        models = [each for text in self._models for each in _model(text)]
        if not self._asked.files:
            if not given and not models:
                raise ProblemError(
                    "console.usage",
                    "nobody said what goes into it",
                    hint="Name archives (docker save -o app.tar app:1) or a release, a YAML file.",
                )
            return given, models
        release = read_release(setup, self._asked)
        if tell_problems(release.means):
            raise ProblemError(
                "bundle.lacks",
                f"{release.file.name} cannot be carried as it is",
                hint="Mend what is named above; what differs by node is told with --to or --set.",
            )
        names = image_names(release.means)
        archives = self._of_release(given, names, release.file.path.parent, base, but)
        files = release_files(release.file, release.means, models)
        for left in files.left_out:
            say(f"not in it: {left}")
        if len(files.loose) > FILES_LIMIT:
            raise ProblemError(
                "bundle.lacks",
                f"the release has {len(files.loose)} files, a node takes {FILES_LIMIT} at once",
                hint="Make a bundle of the models first: roost bundle make --model ...",
            )
        return archives, files.loose

    def _of_release(
        self,
        given: Sequence[ArchiveIndex],
        names: Sequence[str],
        folder: Path,
        base: ArchiveIndex | None,
        but: Path,
    ) -> list[ArchiveIndex]:
        """Only the release's images, and no files that archives may have of another version.

        Of archives that nobody named, the newest that has an image whole.
        """
        chosen: dict[str, list[str]] = {}  # names of images by the archive that they come from
        known = {archive.path for archive in given} | {str(but.absolute())}
        for archive in given:
            if names_there := _has(archive, names):
                chosen[archive.path] = names_there
            elif any(each.elsewhere for each in given):
                chosen[archive.path] = []  # others may have been made since it
            else:
                say(f"{clean(archive.path)}: the release has none of its images, it is left out")
        lacking = _lacking(given, names)
        found = [each for each in _found_in(folder, known) if not each.elsewhere] if lacking else []
        more = [*found, *([base] if base is not None else [])]
        for name in lacking:
            source = next((each for each in more if _has(each, [name])), None)
            if source is None:
                raise _no_archive(_lacking([*given, *more], names), folder)
            if source.path not in chosen and source is not base:
                say(f"found {clean(source.path)}")
            chosen.setdefault(source.path, []).append(name)
        archives = {archive.path: archive for archive in (*given, *more)}
        return [
            msgspec.structs.replace(index, files=[])
            for path, wanted in chosen.items()
            for index in Parcels([archives[path]]).of(wanted)
        ]


def is_release_file(path: Path) -> bool:
    """Whether somebody means a release, and no archive."""
    return path.suffix.lower() in RELEASE_SUFFIXES


def _has(archive: ArchiveIndex, names: Sequence[str]) -> list[str]:
    """Those of the images that are there."""
    return [name for name in names if Parcels([archive]).has(name)]


def _lacking(archives: Sequence[ArchiveIndex], names: Sequence[str]) -> list[str]:
    return [name for name in names if not Parcels(archives).has(name)]


def _model(text: str) -> list[LooseFile]:
    """Of `NAME=FILE`, or `FILE`, which has its own name on nodes, too."""
    name, equals, file = text.partition("=")
    path = Path(file if equals else text)
    return model_files(path, name if equals else path.name)


def _found_in(folder: Path, known: set[str]) -> list[ArchiveIndex]:
    """Archives that lie beside a release, the newest first; what cannot be read is passed over."""
    paths = [
        path.absolute()
        for place in FOUND_IN
        for path in sorted((folder / place).glob("*"))
        if path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()
    ]
    paths.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    found = []
    for path in paths:
        if str(path) in known:
            continue
        try:
            found += read_archives([path])
        except ProblemError as problem:
            say(f"passed over {clean(path.name)}: {clean(problem.detail)}")
    return found


def _no_archive(lacking: Sequence[str], folder: Path) -> ProblemError:
    more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
    return ProblemError(
        "bundle.lacks",
        f"no archive has {plural(len(lacking), 'image')} of the release:"
        f" {', '.join(lacking[:NAMED])}{more}",
        params={"images": list(lacking)},
        hint=f"Save it: docker save -o {folder}/image.tar {lacking[0]}; or name an archive that has"
        " it.",
    )
