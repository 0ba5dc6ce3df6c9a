"""Records what Docker Compose itself makes of the tests' files; test_like_compose.py compares.

    python -m tests.console.compose.recording /path/to/docker-compose

writes tests/data/compose/recorded.json anew, and with `merges` behind it merges.json. The version
stands in each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.console.compose import test_env_file, test_forms, test_interpolation, test_scalars
from tests.console.compose.files import of_service
from tests.console.compose.merged_files import FILES, given
from tests.console.compose.test_projects import DATA, NODE, PROJECTS

RECORDED = DATA / "recorded.json"
MERGES = DATA / "merges.json"


def form_file(lines: str) -> str:
    """The file of one of test_forms' forms."""
    tops = (test_forms.VOLUMES, test_forms.NETWORKS, test_forms.SECRETS)
    used = [top for top in tops if top.split(":")[0].strip() in lines]
    return of_service(lines, "\n".join(used))


def environment_file(value: str) -> str:
    """A file whose service has V with this value, as YAML has it."""
    return f"name: plant\nservices:\n  app:\n    image: x\n    environment: {{V: {value}}}\n"


def env_file_file() -> str:
    """A file whose service has the file "e"."""
    return "name: plant\nservices:\n  app:\n    image: x\n    env_file: e\n"


def parameters(test: Any) -> list[Any]:
    """What a test is parametrized with."""
    return list(test.pytestmark[0].args[1])


def templates() -> list[str]:
    """Texts with variables, those that do not fit included."""
    fit = parameters(test_interpolation.test_value) + parameters(test_interpolation.test_unset)
    return [case[0] for case in fit] + parameters(test_interpolation.test_no_variable)


def scalars() -> list[str]:
    return [case[0] for case in parameters(test_scalars.test_plain)]


def env_lines() -> list[str]:
    return [case[0] for case in parameters(test_env_file.test_line)]


class Recorder:
    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._folder = folder

    def config(
        self, text: str, variables: dict[str, str], *, env_file: str | None = None
    ) -> dict[str, Any] | None:
        """What `config` prints; None where it refuses the file, or has no value for a variable."""
        (self._folder / "compose.yaml").write_text(text, encoding="utf-8")
        if env_file is not None:
            (self._folder / "e").write_text(env_file, encoding="utf-8", newline="")
        return self.of_file(self._folder / "compose.yaml", variables)

    def merged(self, files: dict[str, str]) -> dict[str, Any] | None:
        """The same of several files, and others that they name."""
        for name, text in files.items():
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        first, *more = [self._folder / name for name in given(files)]
        return self.of_file(first, {}, *more)

    def of_file(self, file: Path, variables: dict[str, str], *more: Path) -> dict[str, Any] | None:
        named = [word for each in (file, *more) for word in ("-f", str(each))]
        done = subprocess.run(
            [self._command, *named, "config", "--format", "json"],
            capture_output=True,
            text=True,
            env={"HOME": str(self._folder), **variables},
            check=False,
        )
        if done.returncode or "variable is not set" in done.stderr:
            return None
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def value(self, text: str, variables: dict[str, str], *, env_file: str | None = None) -> Any:
        """V of the service's environment. `config` writes a dollar sign twice."""
        document = self.config(text, variables, env_file=env_file)
        if document is None:
            return None
        value = document["services"]["app"]["environment"]["V"]
        return value and value.replace("$$", "$")

    def version(self) -> str:
        command = [self._command, "version", "--short"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main(command: str) -> None:
    """Run Compose over everything and write what it says."""
    with tempfile.TemporaryDirectory() as name:
        recorder = Recorder(command, Path(name))
        variables = test_interpolation.VARIABLES
        recorded = {
            "version": recorder.version(),
            "templates": {
                text: recorder.value(environment_file(json.dumps(text)), variables)
                for text in templates()
            },
            "scalars": {text: recorder.value(environment_file(text), {}) for text in scalars()},
            "env_lines": {
                text: recorder.value(env_file_file(), {"A": "a"}, env_file=text)
                for text in env_lines()
            },
            "forms": {
                lines: recorder.config(form_file(lines), {}) for lines, _, _ in test_forms.FORMS
            },
            "projects": {
                project: recorder.of_file(DATA / f"{project}.yaml", {**NODE, **values})
                for project, values in PROJECTS.items()
            },
        }
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def record_merges(command: str) -> None:
    """Run Compose over the files that are merged and write what it says."""
    found: dict[str, Any] = {}
    for about, files in FILES.items():
        with tempfile.TemporaryDirectory() as name:
            recorder = Recorder(command, Path(name))
            found[about] = recorder.merged(files)
    recorded = {"version": recorder.version(), "merges": found}
    MERGES.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    (record_merges if "merges" in sys.argv[2:] else main)(sys.argv[1])
