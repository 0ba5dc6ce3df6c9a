"""`environment` and `env_file` of a service; nothing of what is set around the console."""

from __future__ import annotations

from pathlib import Path

from console.compose.env_file import parse_env_file, read_env_file
from console.compose.reading import Place


class EnvFiles:
    """The files that services name, each read once; paths start from the Compose file's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._texts: dict[Path, str] = {}

    @property
    def read(self) -> list[Path]:
        """Those that were read."""
        return list(self._texts)

    def path(self, named: str) -> Path:
        return self._folder / named

    def text(self, path: Path, place: Place) -> str | None:
        """None where it cannot be had, which is noted."""
        if path not in self._texts:
            text = read_env_file(path, place.findings, line=place.line)
            if text is None:
                return None
            self._texts[path] = text
        return self._texts[path]


def read_environment(service: Place, files: EnvFiles) -> dict[str, str]:
    """All variables of the container: those of its files, then those in the Compose file."""
    found: dict[str, str] = {}
    if listed := service.get("env_file"):
        for item in listed.one_or_more():
            found |= _of_file(item, files)
    environment = service.get("environment")
    for name, value, place in environment.pairs() if environment else []:
        if "=" in name or "\0" in name or "\0" in (value or ""):
            place.wrong("cannot be a variable", "A name has no equals sign, and no value a null.")
        elif value is None:
            hint = (
                f"Say which value: {name}: ${{{name}}} takes it from --set, --env-file or vars: in"
                " fleet.yaml. What is set around roost is never taken."
            )
            place.wrong(f"gives {name} no value", hint, "compose.unsupported")
        else:
            found[name] = value
    return found


def _of_file(item: Place, files: EnvFiles) -> dict[str, str]:
    required, raw, path_place = True, False, item
    if not item.is_text():
        if item.known(("path", "required", "format")) is None:
            return {}
        given = item.get("path")
        if given is None:
            item.wrong("lacks its path", "Say which file: path: ./common.env")
            return {}
        path_place = given
        if needed := item.get("required"):
            required = needed.truth() is not False
        if form := item.get("format"):
            raw = form.one_of(("raw",)) == "raw"
    named = path_place.text()
    if not named:
        return {}
    path = files.path(named)
    try:
        if not required and not path.exists():
            return {}
    except (OSError, ValueError) as error:  # a null, a name that is too long
        path_place.wrong(f"cannot be looked at: {error}", "Write another path.", "compose.env_file")
        return {}
    text = files.text(path, path_place)
    if text is None:
        return {}
    return parse_env_file(
        text, name=str(path), variables=item.variables, findings=item.findings, raw=raw
    )
