"""YAML text as plain objects: what is wrong is told with file and line."""

from __future__ import annotations

from typing import Any

import yaml

from agent.protocol.problems import Param, ProblemError

# libyaml's parser where PyYAML has it, which is eight times as fast as Python's.
LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Nobody writes that. libyaml's composer recurses in C: some 30,000 levels end the process.
DEPTH_LIMIT = 100


def read_document(text: str, *, file: str) -> object:
    """What `text` says; `file` is only for messages. Raises ProblemError `settings.syntax`."""
    try:
        _check_depth(text, file)
        return yaml.load(text, Loader=LOADER)  # noqa: S506 - both are safe loaders
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = f"{error.problem or error.context}"
        hint = "Check the indentation and quotes around that line."
        raise _syntax(file, why, hint, mark.line + 1 if mark else 1) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        why = " ".join(str(error).split())
        raise _syntax(file, why, "Check that the file is plain text.") from None


def read_tree(text: str) -> Any:
    """PyYAML's nodes, which know their lines, of text that `read_document` took."""
    return yaml.compose(text, LOADER)


def _check_depth(text: str, file: str) -> None:
    depth = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                line = event.start_mark.line + 1 if event.start_mark else None
                raise _syntax(file, "it is nested too deep", "Check the brackets in it.", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _syntax(file: str, why: str, hint: str, line: int | None = None) -> ProblemError:
    params: dict[str, Param] = {"file": file}
    if line is not None:
        params["line"] = line
    where = file if line is None else f"{file}, line {line}"
    return ProblemError("settings.syntax", f"{where}: {why}", params=params, hint=hint)
