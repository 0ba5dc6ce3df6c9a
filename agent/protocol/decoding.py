"""JSON and plain values to structs, from any thread.

msgspec 0.22.0 works out what a struct needs when it is first decoded, and dies with SIGSEGV when
two threads do that at once for structs that share another: 18 of 20 runs of the program in
tests/test_decoding.py. So the first time is under a lock, and all that is ours decodes by these.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_first = threading.Lock()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def from_json(data: bytes | str, kind: type[T]) -> T:
    """JSON as `kind`. Raises as `msgspec.json.decode`."""
    return decoder_of(kind).decode(data)


def from_plain(
    value: object, kind: type[T], *, dec_hook: Callable[[type, Any], Any] | None = None
) -> T:
    """Plain lists, dicts, numbers and texts as `kind`. Raises as `msgspec.convert`."""
    if dec_hook is None:
        decoder_of(kind)  # for what it works out
        return msgspec.convert(value, kind)
    with _first:
        return msgspec.convert(value, kind, dec_hook=dec_hook)


def work_out_all() -> None:
    """For all structs that are loaded by now, before threads and other people's code use them."""
    with _first:
        kinds: set[type] = set(_below(msgspec.Struct))
        for each in kinds:
            try:
                _decoders.setdefault(each, msgspec.json.Decoder(each))
            except TypeError:
                continue  # nobody can decode it: it holds functions, or objects of ours


def decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    """For who decodes much; one for all threads."""
    decoder = _decoders.get(kind)
    if decoder is None:
        with _first:
            decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    return decoder


def _below(base: type) -> Iterator[type]:
    below: list[type] = base.__subclasses__()
    for each in below:
        yield each
        yield from _below(each)
