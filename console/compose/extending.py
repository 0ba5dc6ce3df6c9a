"""`extends`: a service that takes over what another one says, of the same file or another one."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from pathlib import Path

from console.compose import tree
from console.compose.findings import Findings
from console.compose.merging import merge, without_tags
from console.compose.reading import Place

# More are a mistake, or a chain without an end.
FILES_LIMIT = 32
SIZE_LIMIT = 1 << 20

Where = tuple[Path, str]  # a file and a service


class OtherFiles:
    """The files that services extend from, each read once."""

    def __init__(self) -> None:
        self._roots: dict[Path, tree.Node | None] = {}

    @property
    def read(self) -> list[Path]:
        """Those that were read."""
        return list(self._roots)

    def root(self, path: Path, place: Place) -> tree.Mapping | None:
        """None where there is none, which is noted."""
        if path not in self._roots:
            if len(self._roots) >= FILES_LIMIT:
                hint = f"{FILES_LIMIT} are read at most."
                place.wrong("names one file too many", hint, "compose.too_large")
                return None
            self._roots[path] = _read(path, place)
        root = self._roots[path]
        return root if isinstance(root, tree.Mapping) else None


class Extending:
    """Puts together the services of one file, for one node."""

    def __init__(
        self, path: Path, others: OtherFiles, variables: Dict[str, str], findings: Findings
    ) -> None:
        self._path, self._others = path, others
        self._variables, self._findings = variables, findings
        self._whole: dict[Where, tree.Node] = {}
        self._size = 0

    def root(self, root: tree.Node) -> tree.Node:
        """The file with each service in full."""
        services = _services(root)
        if not isinstance(root, tree.Mapping) or services is None:
            return root
        if not any(_extends(entry.value) for entry in services.entries.values()):
            return root
        entries = {
            name: tree.Entry(entry.line, self._service(self._path, root, name, ()), entry.merged)
            for name, entry in services.entries.items()
        }
        whole = tree.Mapping(services.line, entries, size=services.size)
        below = tree.Entry(root.entries["services"].line, whole)
        return tree.Mapping(root.line, {**root.entries, "services": below}, size=root.size)

    def _service(
        self, path: Path, root: tree.Mapping, name: str, before: tuple[Where, ...]
    ) -> tree.Node:
        """A service with what it extends in it."""
        where = (path, name)
        if where in self._whole:
            return self._whole[where]
        services = _services(root)
        node = tree.Scalar("", root.line) if services is None else services.entries[name].value
        extends = _extends(node)
        if extends is not None and isinstance(node, tree.Mapping):
            own = {key: entry for key, entry in node.entries.items() if key != "extends"}
            over = tree.Mapping(node.line, own, size=node.size)
            base = self._base(path, root, name, extends, (*before, where))
            node = over if base is None else self._one(base, over, name)
        self._whole[where] = node
        return node

    def _one(self, base: tree.Node, over: tree.Mapping, name: str) -> tree.Node:
        self._size += base.size + over.size
        if self._size > tree.NODES_LIMIT:
            what = f"with what services extend, there are more than {tree.NODES_LIMIT:,} entries"
            self._findings.add("compose.too_large", over.line, what, "Extend fewer, or shorter.")
            return over
        return merge(base, over, self._findings, ("services", name))

    def _base(
        self,
        path: Path,
        root: tree.Mapping,
        name: str,
        extends: tree.Entry,
        before: tuple[Where, ...],
    ) -> tree.Node | None:
        key = f"services.{name}.extends"
        place = Place(extends.value, key, self._variables, self._findings, extends.line, "extends")
        base, file = self._named(place)
        if base is None:
            return None
        there, of = (path, root)
        if file is not None:
            there = (path.parent / file).resolve()
            other = self._others.root(there, place)
            if other is None:
                return None
            of = other
        services = _services(of)
        if services is None or base not in services.entries:
            within = "" if there == path else f" in {there}"
            what = f"names {base}, which is no service{within}"
            place.wrong(what, "Write a service's name.", "compose.undefined")
            return None
        if (there, base) in before:
            way = " -> ".join(each for _, each in (*before, (there, base)))
            place.wrong(f"goes round: {way}", "Take one of them out.", "compose.cycle")
            return None
        found = self._service(there, of, base, before)
        return found if there.parent == self._path.parent else _from(found, there.parent)

    def _named(self, place: Place) -> tuple[str | None, str | None]:
        """The service, and the file if it is another one."""
        if place.is_text():
            return place.text(), None
        if place.known(("service", "file")) is None:
            return None, None
        service, file = place.get("service"), place.get("file")
        if service is None:
            place.wrong("lacks its service", "Say which: {file: common.yaml, service: base}")
            return None, None
        path = file.text() if file is not None else None
        return (None, None) if file is not None and path is None else (service.text(), path)


def _read(path: Path, place: Place) -> tree.Node | None:
    try:
        if path.stat().st_size > SIZE_LIMIT:
            place.wrong(f"names {path}, which is too long", "1 MiB is read at most.")
            return None
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        hint = "Write its path, from this file's folder."
        place.wrong(f"names {path}: {why or error}", hint, "compose.unreadable")
        return None
    findings = Findings(str(path))
    try:
        root = tree.read_tree(text, findings)
    except tree.Unreadable:
        root = None
    for problem in findings.problems:
        place.findings.add(
            problem.code,
            problem.line,
            problem.what,
            problem.hint,
            file=problem.file,
            level=problem.level,
        )
    return None if root is None else without_tags(root)


def _services(root: tree.Node) -> tree.Mapping | None:
    entry = root.entries.get("services") if isinstance(root, tree.Mapping) else None
    return entry.value if entry is not None and isinstance(entry.value, tree.Mapping) else None


def _extends(service: tree.Node) -> tree.Entry | None:
    return service.entries.get("extends") if isinstance(service, tree.Mapping) else None


def _from(service: tree.Node, folder: Path) -> tree.Node:
    """The service with the files that it names by paths from `folder`."""
    if not isinstance(service, tree.Mapping) or "env_file" not in service.entries:
        return service
    entry = service.entries["env_file"]
    there = tree.Entry(entry.line, _below(entry.value, folder))
    return tree.Mapping(
        service.line, {**service.entries, "env_file": there}, service.size, service.depth
    )


def _below(node: tree.Node, folder: Path) -> tree.Node:
    if isinstance(node, tree.Sequence):
        return tree.Sequence(node.line, [_below(item, folder) for item in node.items], node.size)
    if isinstance(node, tree.Mapping):
        path = node.entries.get("path")
        if path is None:
            return node
        there = tree.Entry(path.line, _below(path.value, folder))
        return tree.Mapping(node.line, {**node.entries, "path": there}, node.size)
    absolute = node.text.startswith("/") or not node.text
    text = node.text if absolute else str(folder / node.text)
    return tree.Scalar(text, node.line, plain=False)
