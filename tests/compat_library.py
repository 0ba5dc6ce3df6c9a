"""Libraries as NVIDIA's forward-compatibility packages bring them, made by hand or by gcc."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

SECTION = ".note.cuda.fwd_compatibility"
OWNER = b"NVIDIA Corporation\0"
NOTE: Mapping[str, object] = {
    "Format": 1,
    "CUDA Version": "12.9",
    "Driver": [535, 550, 560, 565, 570, 575],
    "Device": [1, 2, 7, 8, 9, 10, 11, 12, 13, 14],
}


def note(words: object = NOTE, *, owner: bytes = OWNER, align: int = 4) -> bytes:
    """A note section's content; `words` bytes: as they are."""
    text = words if isinstance(words, bytes) else json.dumps(words).encode()
    name = owner + bytes(-len(owner) % align)
    return struct.pack("<III", len(owner), len(text), 1) + name + text + bytes(-len(text) % align)


def library(
    content: bytes,
    *,
    middle: int = 0,
    before: int = 0,
    section: str = SECTION,
    segment: bool = True,
) -> bytes:
    """An ELF file with this note, `before` bytes behind the header and `middle` before the table
    of sections; `segment`: a program header tells of the note, too."""
    names = b"\0.shstrtab\0" + section.encode() + b"\0"
    at = 64 + 56 + before
    names_at = at + len(content) + middle
    table_at = names_at + len(names)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", identity, 3, 62, 1, 0, 64, table_at, 0, 64, 56, 1, 64, 3, 1
    )
    kind = 4 if segment else 1
    program = struct.pack("<IIQQQQQQ", kind, 4, at, at, at, len(content), len(content), 4)

    def entry(name: int, kind: int, start: int, length: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, start, length, 0, 0, 4, 0)

    table = entry(0, 0, 0, 0) + entry(1, 3, names_at, len(names)) + entry(11, 7, at, len(content))
    return header + program + bytes(before) + content + bytes(middle) + names + table


def compiled(folder: Path, words: object = NOTE, *, filler: int = 0) -> bytes:
    """A shared library that gcc makes, its note section by the assembler."""
    text = json.dumps(words)
    source = folder / "compat.s"
    escaped = text.replace('"', '\\"')
    source.write_text(
        f"""
        .section {SECTION},"a",@note
        .balign 4
        .long 2f - 1f, 4f - 3f, 1
1:      .asciz "NVIDIA Corporation"
2:      .balign 4
3:      .ascii "{escaped}"
4:      .balign 4
        .section .data
        .globl cuInit
cuInit: .skip {filler + 1}, 7
        .section .note.GNU-stack,"",@progbits
"""
    )
    made = folder / "libcuda.so"
    subprocess.run(["gcc", "-shared", "-nostdlib", "-o", made, source], check=True)
    return made.read_bytes()
