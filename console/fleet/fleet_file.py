"""Reading fleet.yaml, and changing it under the eyes of others who may change it too."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from agent.durable import appearing, sync, sync_folder
from agent.protocol.problems import ProblemError
from agent.protocol.settings import convert_settings, line_of
from agent.yaml_text import read_document, read_tree
from console.fleet.expectations import wrong_expectations
from console.fleet.inventory import Inventory, NodeEntry
from console.fleet.variables import wrong_variables
from console.fleet.yaml_edit import with_node, without_node
from console.folder_lock import alone_in
from console.link.address import parse_address

# Names stand in selectors, in files and on the command line.
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")


def default_fleet_file(environment: Mapping[str, str]) -> Path:
    """`ROOST_FLEET`, or fleet.yaml in the user's configuration."""
    if given := environment.get("ROOST_FLEET"):
        return Path(given)
    config = environment.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "roost" / "fleet.yaml"


def load_inventory(file: Path) -> Inventory:
    """The fleet in `file`; no nodes where there is no such file.

    Raises:
        ProblemError: `settings.*` with file and line.
    """
    return parse_inventory(_read(file), file=str(file))


def parse_inventory(text: str, *, file: str) -> Inventory:
    """The fleet in `text`; `file` is only for messages."""
    document = read_document(text, file=file)
    if document in (None, {"nodes": None}):  # all that was there is commented out
        return Inventory()
    inventory = convert_settings(document, Inventory, file=file, tree=lambda: read_tree(text))
    _check(inventory, file, lambda index, key: line_of(read_tree(text), ["nodes", index, key]))
    for path, why, hint in (*wrong_variables(inventory), *wrong_expectations(inventory)):
        raise _invalid(file, line_of(read_tree(text), path), why, hint)
    return inventory


def add_node(file: Path, entry: NodeEntry) -> None:
    """Write `entry` behind the others; all that is in the file stays as it is.

    Raises:
        ProblemError: `fleet.node_exists`, `settings.*`.
    """

    def edit(text: str, inventory: Inventory) -> tuple[str, Inventory]:
        if any(node.name == entry.name for node in inventory.nodes):
            raise ProblemError(
                "fleet.node_exists",
                f"{file} has a node {entry.name!r} already",
                params={"node": entry.name, "file": str(file)},
                hint=f"Give another name with --name, or first: roost node rm {entry.name}",
            )
        return with_node(text, entry), _with(inventory, [*inventory.nodes, entry])

    _edit(file, edit)


def remove_node(file: Path, name: str) -> None:
    """Take the node `name` out; all else that is in the file stays as it is.

    Raises:
        ProblemError: `fleet.node_unknown`, `settings.*`.
    """

    def edit(text: str, inventory: Inventory) -> tuple[str, Inventory]:
        index = next((i for i, node in enumerate(inventory.nodes) if node.name == name), None)
        if index is None:
            raise ProblemError(
                "fleet.node_unknown",
                f"{file} has no node {name!r}",
                params={"node": name, "file": str(file)},
                hint="See the names: roost node ls",
            )
        left = inventory.nodes[:index] + inventory.nodes[index + 1 :]
        return without_node(text, index), _with(inventory, left)

    _edit(file, edit)


def _with(inventory: Inventory, nodes: list[NodeEntry]) -> Inventory:
    return msgspec.structs.replace(inventory, nodes=nodes)


def _edit(file: Path, edit: Callable[[str, Inventory], tuple[str, Inventory]]) -> None:
    """Change the file as it is now, not as it was when the command began."""
    target = file.resolve()  # a link stays a link
    with _told(file):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _told(file), alone_in(target.parent):
        before = _read(target)
        after, wanted = edit(before, parse_inventory(before, file=str(file)))
        if parse_inventory(after, file=str(file)) != wanted:
            raise ProblemError(
                "settings.unwritable",
                f"{file} is written in a way that cannot be changed by machine",
                params={"file": str(file)},
                hint="Change it by hand.",
            )
        _replace(target, before, after)


def _replace(target: Path, before: str, after: str) -> None:
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    with appearing(target, mode=mode) as file:
        file.write(after.encode())
        sync(file)
        _see_unchanged(target, before)
    sync_folder(target.parent)


def _see_unchanged(target: Path, before: str) -> None:
    """Editors know no lock of ours."""
    if _read(target) != before:
        raise ProblemError(
            "settings.unwritable",
            f"{target} was changed by someone else at this moment",
            params={"file": str(target)},
            hint="Nothing was written. Run the command again.",
        )


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProblemError(
            "settings.unwritable",
            f"{file}: {error.strerror}",
            params={"file": str(file)},
            hint="Check the permissions of the file and its folder, and the space left there.",
        ) from None


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return opened.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ProblemError(
            "settings.unreadable",
            f"{file}: {why}",
            params={"file": str(file)},
            hint="Check the file's permissions and that it is UTF-8.",
        ) from None


def _check(inventory: Inventory, file: str, line: Callable[[int, str], int]) -> None:
    """What the types cannot say: names and addresses."""
    seen: dict[str, int] = {}
    for index, node in enumerate(inventory.nodes):
        if not NAME.fullmatch(node.name):
            why = f"{node.name[:80]!r} is not a name: letters, digits, dots and dashes, at most 63"
            raise _invalid(file, line(index, "name"), why, "Give the node another name.")
        if node.name in seen:
            why = f"there is a node {node.name!r} already, in line {line(seen[node.name], 'name')}"
            raise _invalid(file, line(index, "name"), why, "Give one of them another name.")
        seen[node.name] = index
        try:
            parse_address(node.address)
        except ProblemError as problem:
            raise _invalid(
                file, line(index, "address"), problem.detail, problem.hint or ""
            ) from None
        if node.fingerprint is not None and not FINGERPRINT.fullmatch(node.fingerprint):
            why = f"{node.fingerprint[:80]!r} is not sha256: and 64 hexadecimal digits"
            hint = "`roost-agent check` on the node prints it."
            raise _invalid(file, line(index, "fingerprint"), why, hint)


def _invalid(file: str, line: int, why: str, hint: str) -> ProblemError:
    return ProblemError(
        "settings.invalid",
        f"{file}, line {line}: {why}",
        params={"file": file, "line": line},
        hint=hint,
    )
