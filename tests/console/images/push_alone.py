"""A process that pushes an archive and says by how much its memory grew meanwhile.

python -m tests.console.images.push_alone SOCKET KIND SMALL LARGE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agent.archives.indexing import index_archive
from tests.console.images.pushing import client_over, push_over


def status_bytes(field: str) -> int:
    """A figure of this process's memory, as the kernel has it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


async def push(socket: Path, kind: str, file: Path) -> None:
    index = await asyncio.to_thread(index_archive, file)
    client = client_over(socket, "unix" if kind == "unix" else "ssh")
    state = await push_over(client, index).run()
    await client.close()
    if state.problem is not None:
        raise state.problem


def main() -> None:
    socket, kind, small, large = sys.argv[1:]
    asyncio.run(push(Path(socket), kind, Path(small)))
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    asyncio.run(push(Path(socket), kind, Path(large)))
    sys.stdout.write(f"{status_bytes('VmHWM') - before}\n")


if __name__ == "__main__":
    main()
