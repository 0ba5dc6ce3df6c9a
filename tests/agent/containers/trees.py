"""Control group trees as files, with what real ones say."""

from __future__ import annotations

from pathlib import Path

V1_NO_LIMIT = "9223372036854771712\n"


def write(folder: Path, **files: str) -> None:
    """Files of one folder; a dot in a name is written as two underscores."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def v2_tree(root: Path, group: str, *, pid: int | None, shown: str | None = None) -> Path:
    """Cgroup v2 with one container. `shown`: the path in /proc, if it is another one."""
    tree = root / "sys/fs/cgroup"
    write(tree, cgroup__controllers="cpu memory pids\n")
    folder = tree / group.lstrip("/")
    write(
        folder,
        cpu__stat="usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
        memory__current="10000000\n",
        memory__stat="anon 4000000\nfile 5000000\ninactive_anon 1\ninactive_file 3000000\n",
        memory__max="max\n",
        pids__current="7\n",
    )
    if pid is not None:
        write(root / f"proc/{pid}", cgroup=f"0::{shown or group}\n")
    return folder


def v1_tree(root: Path, group: str, *, pid: int, together: bool = False) -> Path:
    """Cgroup v1, with an empty v2 tree beside it. `together`: cpu and cpuacct share a mount."""
    tree = root / "sys/fs/cgroup"
    cpu = "cpu,cpuacct" if together else "cpuacct"
    write(tree / "unified" / group.lstrip("/"), cgroup__procs="")
    write(tree / cpu / group.lstrip("/"), cpuacct__usage="2500000000\n")
    memory = tree / "memory" / group.lstrip("/")
    write(
        memory,
        memory__usage_in_bytes="10000000\n",
        memory__stat="cache 5\ninactive_file 1\ntotal_cache 5\ntotal_inactive_file 3000000\n",
        memory__limit_in_bytes=V1_NO_LIMIT,
    )
    write(tree / "pids" / group.lstrip("/"), pids__current="7\n")
    write(
        root / f"proc/{pid}",
        cgroup=f"9:name=systemd:{group}\n8:pids:{group}\n4:memory:{group}\n2:{cpu}:{group}\n0::/\n",
    )
    return memory
