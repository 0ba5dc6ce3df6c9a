"""`volumes` and `tmpfs` of a service. Paths are the node's: the console's mean nothing there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from agent.protocol.workloads import Mount
from console.compose.definitions import NAME, VolumeDefinition, defined
from console.compose.reading import Place
from console.compose.scalars import size_bytes

_LONG = ("type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image")
_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
# What Docker mounts a tmpfs with anyway.
_TMPFS_USUAL = {"rw", "noexec", "nosuid", "nodev"}
_KINDS: Mapping[str, Literal["bind", "volume", "tmpfs"] | None] = {
    "bind": "bind",
    "volume": "volume",
    "tmpfs": "tmpfs",
    "npipe": None,
    "cluster": None,
    "image": None,
}
_OPTIONS = {
    "bind": ("propagation", "create_host_path"),
    "volume": ("nocopy",),
    "tmpfs": ("size", "mode"),
}
_LEFT_OUT = {"bind": ("selinux", "recursive"), "volume": ("subpath", "labels"), "tmpfs": ()}
_MAC_ONLY = {"consistent", "cached", "delegated"}


def read_mounts(service: Place, volumes: Mapping[str, VolumeDefinition]) -> list[Mount]:
    """All mounts; a later one of the same target replaces the earlier one, as Compose has it."""
    by_target: dict[str, Mount] = {}
    listed = service.get("volumes")
    for item in listed.items() if listed else []:
        mount = _short(item, volumes) if item.is_text() else _long(item, volumes)
        if mount is not None:
            by_target[mount.target] = mount
    memory = service.get("tmpfs")
    for item in memory.one_or_more() if memory else []:
        mount = _tmpfs(item)
        if mount is not None:
            by_target[mount.target] = mount
    return list(by_target.values())


def _short(item: Place, volumes: Mapping[str, VolumeDefinition]) -> Mount | None:
    text = item.text()
    if text is None:
        return None
    if re.match(r"[A-Za-z]:[\\/]", text):
        item.unsupported("Nodes run Linux: begin paths with a slash.", "has a path of Windows")
        return None
    parts = text.split(":")
    if len(parts) > 3 or not all(parts[:2]):
        hint = 'Write "/on/the/node:/in/container", "volume:/in/container", then ":ro" if need be.'
        item.wrong(f"is {text[:80]!r}, which is no volume", hint)
        return None
    if len(parts) == 1:
        return _checked(item, Mount(kind="volume", target=text))
    source, target = parts[:2]
    mount = Mount(kind="bind" if source[0] in "/.~" else "volume", source=source, target=target)
    for word in parts[2].split(",") if len(parts) == 3 else []:
        _mode(item, mount, word)
    return _sourced(item, mount, volumes)


def _mode(item: Place, mount: Mount, word: str) -> None:
    if word == "ro":
        mount.read_only = True
    elif word in ("nocopy", "volume-nocopy"):
        mount.no_copy = True
    elif word in _PROPAGATION:
        mount.propagation = word
    elif word in ("z", "Z"):
        hint = "Leave it out; on nodes with SELinux say security_opt: [label=disable]"
        item.unsupported(hint, f"asks to relabel files with :{word}, which is not supported")
    elif word in _MAC_ONLY:
        item.ignored("It is for Docker on a Mac.", f"says {word}, which has no effect here")
    elif word != "rw":
        item.wrong(f"has the mode {word[:40]!r}", "It may be rw, ro, nocopy or a propagation.")


def _long(item: Place, volumes: Mapping[str, VolumeDefinition]) -> Mount | None:
    if item.known(_LONG) is None:
        return None
    kind_place, target_place = item.get("type"), item.get("target")
    if kind_place is None or target_place is None:
        lacking = "type" if kind_place is None else "target"
        item.wrong(f"lacks its {lacking}", "Say type: bind, volume or tmpfs, and target: /path")
        return None
    word = kind_place.one_of(_KINDS)
    target = target_place.text()
    source = place.text() if (place := item.get("source")) else ""
    if word is None or target is None or source is None:
        return None
    kind = _KINDS[word]
    if kind is None:
        kind_place.unsupported("Take bind, volume or tmpfs.", f"is {word!r}, which Roost lacks")
        return None
    mount = Mount(kind=kind, source=source, target=target)
    mount.read_only = bool((read_only := item.get("read_only")) and read_only.truth())
    if consistency := item.get("consistency"):
        consistency.ignored("It is for Docker on a Mac.")
    for other in ("bind", "volume", "tmpfs", "image"):
        if (options := item.get(other)) is None:
            continue
        if other == kind:
            _long_options(options, mount)
        else:
            options.wrong(f"does not go with type: {kind}", "Remove it.", "compose.conflict")
    if kind == "tmpfs":
        if source:
            item.wrong("has a source, and a tmpfs has none", "Remove it.", "compose.conflict")
        return _checked(item, mount)
    if kind == "bind" and not source:
        item.wrong("lacks its source", "Say which path on the node: source: /path")
        return None
    return _sourced(item, mount, volumes)


def _long_options(options: Place, mount: Mount) -> None:
    known = _OPTIONS[mount.kind]
    if options.known([*known, *_LEFT_OUT[mount.kind]]) is None:
        return
    for other in _LEFT_OUT[mount.kind]:
        if given := options.get(other):
            given.unsupported("Leave it out.")
    if propagation := options.get("propagation"):
        mount.propagation = propagation.one_of(_PROPAGATION)
    if create := options.get("create_host_path"):
        mount.create_host_path = create.truth() is not False
    if nocopy := options.get("nocopy"):
        mount.no_copy = nocopy.truth() is True
    if size := options.get("size"):
        mount.size_bytes = size.size()
    if mode := options.get("mode"):
        mount.mode = mode.integer(0, 0o7777)


def _tmpfs(item: Place) -> Mount | None:
    text = item.text()
    if text is None:
        return None
    target, _, options = text.partition(":")
    mount = Mount(kind="tmpfs", target=target)
    for word in options.split(",") if options else []:
        key, _, value = word.partition("=")
        if word == "ro":
            mount.read_only = True
        elif key == "size" and (size := size_bytes(value)) is not None:
            mount.size_bytes = size
        elif key == "mode" and re.fullmatch("[0-7]{3,5}", value):
            mount.mode = int(value, 8) & 0o7777
        elif word not in _TMPFS_USUAL:
            item.unsupported("A tmpfs has size=, mode= and ro.", f"has the option {word[:40]!r}")
    return _checked(item, mount)


def _sourced(item: Place, mount: Mount, volumes: Mapping[str, VolumeDefinition]) -> Mount | None:
    if mount.kind == "bind":
        if not mount.source.startswith("/"):
            what = f"names {mount.source[:80]!r}, which starts from the Compose file's folder"
            hint = "That folder is not on the nodes: write a path from / on, as it is there."
            item.wrong(what, hint, "compose.path")
            return None
        mount.source = _plain(mount.source)
        return _checked(item, mount)
    if not mount.source:
        return _checked(item, mount)
    if not NAME.fullmatch(mount.source):
        hint = "A path begins with a slash; a volume's name has letters, digits, dots and dashes."
        item.wrong(f"names {mount.source[:80]!r}, which is neither path nor volume", hint)
        return None
    if not defined(item, "volume", mount.source, volumes):
        return None
    volume = volumes[mount.source]
    mount.source, mount.external = volume.name, volume.external
    mount.driver, mount.driver_options = volume.driver, dict(volume.driver_options)
    return _checked(item, mount)


def _checked(item: Place, mount: Mount) -> Mount | None:
    if not mount.target.startswith("/") or _plain(mount.target) == "/":
        what = f"is mounted to {mount.target[:80]!r}, which is no path in a container"
        item.wrong(what, "Write a path from / on, and not / itself.")
        return None
    mount.target = _plain(mount.target)
    return mount


def _plain(path: str) -> str:
    """Without doubled slashes and one at the end. `..` stays: a link may stand before it."""
    return re.sub("/+", "/", path).rstrip("/") or "/"
