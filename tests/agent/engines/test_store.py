"""The store of engines, and what a crash leaves in it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from agent.engines import whole_plans
from agent.engines.store import EngineStore
from agent.protocol.engine_figures import Verification
from agent.protocol.engines import EngineManifest, EngineParts
from agent.protocol.problems import ProblemError
from tests.agent.engines.engine_side import recipe

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def manifest(
    key: str, *, built_at: float = 1.0, verification: Verification = "ran"
) -> EngineManifest:
    return EngineManifest(
        key=key,
        parts=EngineParts(
            onnx_sha256="0" * 64,
            recipe=recipe(Path("/m.onnx")),
            flavour="tensorrt",
            tensorrt="10.13.2.6",
        ),
        built_at=built_at,
        build_seconds=1.0,
        peak_memory_bytes=1,
        plan_bytes=4,
        plan_sha256=hashlib.sha256(b"plan").hexdigest(),
        plan_version=[10, 13, 2, 6],
        layers=1,
        warnings=0,
        verification=verification,
        job="j",
    )


def put(store: EngineStore, key: str, *, built_at: float = 1.0, plan: bytes = b"plan") -> None:
    place = store.begin("detector", "j")
    (place / "model.plan").write_bytes(plan)
    store.keep(place, "detector", manifest(key, built_at=built_at))


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    made = EngineStore(tmp_path)
    made.tidy()
    return made


def test_what_is_kept_is_found(store: EngineStore, tmp_path: Path) -> None:
    put(store, A)
    found = store.find("detector", A)
    assert found is not None
    assert (found.model, found.current, found.manifest) == ("detector", False, manifest(A))
    assert found.path == str(tmp_path / "detector" / A / "model.plan")
    assert store.find("detector", B) is None
    assert store.find("other", A) is None


def damage(store: EngineStore, key: str) -> str | None:
    engine = store.find("detector", key)
    assert engine is not None
    return store.damage(engine)


def test_a_plan_that_lost_bytes(store: EngineStore, tmp_path: Path) -> None:
    put(store, A, plan=b"pl")
    assert damage(store, A) == "its plan has 2 bytes, and had 4"
    (tmp_path / "detector" / A / "model.plan").unlink()
    assert damage(store, A) == "its plan cannot be read: No such file or directory"


def test_another_plan_of_the_same_size_is_seen(store: EngineStore, tmp_path: Path) -> None:
    """Put in its place, or written into it, even with its time of change set back."""
    put(store, A)
    plan = tmp_path / "detector" / A / "model.plan"
    assert damage(store, A) is None
    before = plan.stat()
    plan.write_bytes(b"PLAN")
    os.utime(plan, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "damaged" in str(damage(store, A))
    plan.write_bytes(b"plan")
    assert damage(store, A) is None
    other = tmp_path / "other"
    other.write_bytes(b"PLAN")
    other.replace(plan)
    assert "damaged" in str(damage(store, A))


def test_a_plan_that_looks_as_before_is_not_read_again(
    store: EngineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, A)
    engine = store.find("detector", A)
    assert engine is not None
    reads: list[Path] = []

    def digest_of(path: Path) -> tuple[str, int]:
        reads.append(path)
        return engine.manifest.plan_sha256, 4

    monkeypatch.setattr(whole_plans, "digest_of", digest_of)
    assert store.damage(engine) is None
    assert reads == [], "who kept it has read it"
    later = EngineStore(tmp_path)
    for read, times in ((False, 1), (False, 1), (True, 2), (False, 2)):
        assert later.damage(engine, read=read) is None
        assert reads == [Path(engine.path)] * times


def test_each_kind_of_gpu_keeps_its_engines(store: EngineStore) -> None:
    for number, (key, gpu) in enumerate([(A, "T4"), (B, "A10"), (C, "A10")]):
        place = store.begin("detector", "j")
        (place / "model.plan").write_bytes(b"plan")
        made = manifest(key, built_at=float(number))
        made.parts.gpu = gpu
        store.keep(place, "detector", made)
    assert store.too_many("detector", keep=1)
    assert store.prune("detector", keep=1, handed=()) == [B]
    assert [each.manifest.key for each in store.list("detector")] == [C, A]
    assert not store.too_many("detector", keep=1)


def test_all_of_an_engine_is_durable_before_it_has_its_name(
    store: EngineStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    does = os.fsync

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        does(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    place = store.begin("detector", "j")
    (place / "outputs").mkdir()
    for name in ("model.plan", "build.log", "outputs/boxes.bin"):
        (place / name).write_bytes(b"plan")
    store.keep(place, "detector", manifest(A))
    names = {str(path.relative_to(place)) for path in synced if path.is_relative_to(place)}
    assert names >= {".", "model.plan", "build.log", "outputs", "outputs/boxes.bin"}
    outputs = tmp_path / "new"
    outputs.mkdir()
    (outputs / "boxes.bin").write_bytes(b"new")
    store.amend("detector", manifest(A), outputs)
    assert outputs / "boxes.bin" in synced


def test_a_plan_that_lost_bytes_is_not_used(store: EngineStore, tmp_path: Path) -> None:
    put(store, A)
    used = store.use("detector", A)
    assert (used.manifest.key, used.current) == (A, True)
    put(store, B, plan=b"pl")
    with pytest.raises(ProblemError) as caught:
        store.use("detector", B)
    assert (caught.value.code, "has 2 bytes" in caught.value.detail) == (
        "engine.not_verified",
        True,
    )
    store.amend("detector", msgspec.structs.replace(manifest(A), verification="header"))
    with pytest.raises(ProblemError, match="it was not tried"):
        store.use("detector", A)  # though whoever asks has seen that it ran
    assert (tmp_path / "detector" / "current").readlink() == Path(A)


def test_current_moves_and_stays_when_others_go(store: EngineStore) -> None:
    for number, key in enumerate((A, B, C)):
        put(store, key, built_at=number)
    assert not store.too_many("detector", keep=3)
    assert store.too_many("detector", keep=2)
    assert store.prune("detector", keep=3, handed=()) == []
    store.use("detector", A)
    store.use("detector", B)
    assert [each.manifest.key for each in store.list() if each.current] == [B]
    store.use("detector", A)
    assert store.prune("detector", keep=1, handed=()) == [C, B]
    assert [(each.manifest.key, each.current) for each in store.list()] == [(A, True)]


def test_where_none_is_in_use_the_newest_stays(store: EngineStore) -> None:
    for number, key in enumerate((A, B, C)):
        put(store, key, built_at=number)
    assert store.prune("detector", keep=1, handed=()) == [B, A]


def test_what_somebody_has_stays(store: EngineStore, tmp_path: Path) -> None:
    for number, key in enumerate((A, B, C)):
        put(store, key, built_at=number)
    store.use("detector", C)
    folder = tmp_path / "detector" / A
    found = store.folder_of(folder / "runtime")
    assert found == folder
    assert store.folder_of(tmp_path / ".caches") is None
    assert store.prune("detector", keep=1, handed={found}) == [B]
    with pytest.raises(ProblemError) as caught:
        store.remove("detector", A, force=True, handed={found: ["web"]})
    assert (caught.value.code, "web" in caught.value.detail) == ("engine.handed", True)


def test_a_second_engine_of_a_key_counts_from_then_on(store: EngineStore, tmp_path: Path) -> None:
    """And `current` never points at nothing: the first one stays until it is switched."""
    put(store, A)
    store.use("detector", A)
    put(store, A, built_at=2.0)
    link = tmp_path / "detector" / "current"
    assert link.readlink() == Path(A)
    assert (link / "model.plan").read_bytes() == b"plan"
    (engine,) = store.list()
    assert (engine.manifest.built_at, engine.current) == (2.0, True)
    assert store.prune("detector", keep=1, handed=()) == []
    assert (tmp_path / "detector" / A).is_dir(), "it is still in use"
    assert store.too_many("detector", keep=1)
    store.use("detector", A)
    assert link.readlink() == Path(f"{A}.2")
    assert store.prune("detector", keep=1, handed=()) == []
    assert sorted(path.name for path in (tmp_path / "detector").iterdir()) == [f"{A}.2", "current"]
    put(store, A, built_at=3.0)
    store.remove("detector", A, force=True, handed={})
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_not_tried_is_not_in_use_for_the_damaged_one_before(
    store: EngineStore, tmp_path: Path
) -> None:
    """Built once more on a node whose GPU does not answer: its key is that of the one in use."""
    put(store, A)
    store.use("detector", A)
    (tmp_path / "detector" / A / "model.plan").write_bytes(b"p!an")
    place = store.begin("detector", "j")
    (place / "model.plan").write_bytes(b"plan")
    store.keep(place, "detector", manifest(A, verification="header"))
    (engine,) = store.list("detector")
    assert engine.path == str(tmp_path / "detector" / f"{A}.2" / "model.plan")
    assert not engine.current
    store.amend("detector", manifest(A))
    (engine,) = store.list("detector")
    assert engine.current
    store.amend("detector", manifest(A, verification="header"))
    store.remove("detector", A, force=False, handed={})
    # One that is built later finds no link that leads to it.
    place = store.begin("detector", "j")
    (place / "model.plan").write_bytes(b"plan")
    store.keep(place, "detector", manifest(A, verification="header"))
    assert not (tmp_path / "detector" / "current").is_symlink()


def test_what_a_crash_leaves(store: EngineStore, tmp_path: Path) -> None:
    put(store, A)
    store.begin("detector", "cut")
    (tmp_path / "detector" / f".removed-{B}").mkdir()
    store.tidy()
    assert [path.name for path in (tmp_path / "detector").iterdir()] == [A]


def test_what_is_no_engine_is_left_out(store: EngineStore, tmp_path: Path) -> None:
    put(store, A)
    (tmp_path / "detector" / B).mkdir()
    (tmp_path / "detector" / C).mkdir()
    (tmp_path / "detector" / C / "manifest.json").write_text("{}")
    (tmp_path / "a file").touch()
    assert [each.manifest.key for each in store.list()] == [A]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProblemError) as caught:
        EngineStore(tmp_path / "file" / "engines").tidy()
    assert caught.value.code == "engine.storage"
