"""Bundles from archive to a real Docker Engine: by push, by import on the node, and signed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess
from tests.console.cli.signing_bench import BASE, ONE, TWO, Bench
from tests.real.runtime import PrivateRuntime

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
# Stores that want all layers of an image, also those that they have.
WHOLE_STORES = [
    pytest.param("podman_service", marks=pytest.mark.real("podman")),
    pytest.param(
        "containerd_store", marks=[pytest.mark.real("containerd_store"), pytest.mark.runtimes]
    ),
]


def test_made_shown_verified_pushed(bench: Bench) -> None:
    key = bench.key("maria")
    archive = bench.archive("app:1", BASE, ONE, compression="gzip")
    bundle = bench.folder / "out.bundle"
    made = bench.good("bundle", "make", "-o", bundle, archive, "--key", key, "--json").json
    assert made["signer"]["good"]
    assert [image["tags"] for image in made["manifest"]["images"]] == [["app:1"]]
    assert bench.good("bundle", "show", bundle, "--json").json == made
    verified = bench.good("bundle", "verify", bundle, "--key", f"{key}.pub")
    assert "3 entries are as they were made" in verified.out

    pushed = bench.push(bundle)
    assert pushed.code == 0, pushed
    [record] = pushed.json
    assert record["sent_bytes"] == len(BASE) + len(ONE)
    found = bench.engine.docker("inspect", "--format", "{{.Id}}", "app:1")
    assert record["images"] == {"app:1": found}
    assert found == made["manifest"]["images"][0]["config_digest"]
    assert bench.tags() == {"app:1"}


def test_a_bundle_since_another_needs_it(bench: Bench) -> None:
    first, second = bench.folder / "first.bundle", bench.folder / "second.bundle"
    old, new = bench.archive("app:1", BASE, ONE), bench.archive("app:2", BASE, TWO)
    bench.good("bundle", "make", "-o", first, old)
    made = bench.good("bundle", "make", "-o", second, new, "--since", first, "--json").json
    layers = [each for each in made["manifest"]["entries"] if each["kind"] == "layer"]
    assert [each["size_bytes"] for each in layers] == [len(TWO)]
    [needed] = made["manifest"]["needs"]
    assert needed["size_bytes"] == len(BASE)
    differences = bench.good("bundle", "diff", first, second, "--json").json
    assert [(each["image"], each["change"]) for each in differences] == [
        ("app:1", "removed"),
        ("app:2", "added"),
    ]

    refused = bench.push(second)
    assert (refused.code, refused.json[0]["problem"]["code"]) == (1, "bundle.needs")
    assert "first.bundle" in refused.json[0]["problem"]["hint"]
    assert bench.agent.get("/v1/jobs") == []
    alone = bench.folder / "stick" / "second.bundle"
    alone.parent.mkdir()
    alone.write_bytes(second.read_bytes())
    imported = bench.import_on_node(alone)
    assert imported.returncode == 1
    assert "Put first.bundle into the same folder, or load it first" in imported.stderr
    assert bench.tags() == set()

    assert bench.push(first).code == 0
    pushed = bench.push(second)
    assert pushed.code == 0, pushed
    assert pushed.json[0]["sent_bytes"] == len(TWO)
    assert bench.tags() == {"app:1", "app:2"}


def test_both_bundles_in_one_push(bench: Bench) -> None:
    first, second = bench.folder / "first.bundle", bench.folder / "second.bundle"
    bench.good("bundle", "make", "-o", first, bench.archive("app:1", BASE, ONE))
    new = bench.archive("app:2", BASE, TWO)
    bench.good("bundle", "make", "-o", second, new, "--since", first)
    pushed = bench.push(second, first)
    assert pushed.code == 0, pushed
    assert pushed.json[0]["sent_bytes"] == len(BASE) + len(ONE) + len(TWO)
    assert bench.tags() == {"app:1", "app:2"}


def test_imported_where_it_lies(bench: Bench) -> None:
    bundle = bench.folder / "out.bundle"
    archives = [bench.archive("app:1", BASE, ONE), bench.archive("other:1", BASE, TWO)]
    bench.good("bundle", "make", "-o", bundle, *archives)
    relative = Path(os.path.relpath(bundle))
    imported = bench.import_on_node(relative)
    assert imported.returncode == 0, imported
    ids = bench.engine.docker("inspect", "--format", "{{.Id}}", "app:1", "other:1").split()
    assert imported.stdout.splitlines() == [f"app:1  {ids[0]}", f"other:1  {ids[1]}"]
    assert bench.tags() == {"app:1", "other:1"}
    assert list((bench.agent.folder / "state" / "blobs").iterdir()) == []  # no second copy


def test_a_bundle_since_another_is_imported_after_it_or_beside_it(bench: Bench) -> None:
    first, second = bench.folder / "first.bundle", bench.folder / "second.bundle"
    bench.good("bundle", "make", "-o", first, bench.archive("app:1", BASE, ONE))
    new = bench.archive("app:2", BASE, TWO)
    bench.good("bundle", "make", "-o", second, new, "--since", first)
    assert bench.import_on_node(second).returncode == 0
    assert bench.tags() == {"app:2"}
    bench.engine.clear_images()
    assert bench.import_on_node(first).returncode == 0
    first.unlink()
    assert bench.import_on_node(second).returncode == 0
    assert bench.tags() == {"app:1", "app:2"}


@pytest.mark.parametrize("bench", [True], indirect=True)
def test_only_what_a_trusted_key_has_signed(bench: Bench) -> None:
    key, other = bench.key("maria"), bench.key("other")
    archive = bench.archive("app:1", BASE, ONE)
    signed, foreign = bench.folder / "signed.bundle", bench.folder / "foreign.bundle"
    bench.good("bundle", "make", "-o", signed, archive, "--key", key)
    bench.good("bundle", "make", "-o", foreign, archive, "--key", other)

    def refusals(path: Path) -> tuple[str, str]:
        """By push, and by import on the node."""
        pushed = bench.push(path)
        assert pushed.code == 1, pushed
        problem = pushed.json[0]["problem"]
        assert problem["hint"]
        imported = bench.import_on_node(path)
        assert imported.returncode == 1
        assert "hint: " in imported.stderr
        return problem["code"], imported.stderr

    assert refusals(archive)[0] == "signature.missing"
    assert refusals(signed)[0] == "signature.unknown_key"
    bench.good("key", "trust", "dock", f"{key}.pub")
    assert refusals(foreign)[0] == "signature.unknown_key"
    checked = bench.run("image", "check", foreign, "--to", "@dock", "--json")
    assert checked.json[0]["plan"]["problems"][0]["code"] == "signature.unknown_key"
    assert bench.tags() == set()

    assert bench.push(signed).code == 0
    assert bench.tags() == {"app:1"}
    bench.engine.clear_images()
    assert bench.import_on_node(signed).returncode == 0
    bench.engine.clear_images()

    bench.good("key", "sign", archive, "--key", key)
    assert bench.push(archive).code == 0
    assert bench.tags() == {"app:1"}
    bench.engine.clear_images()
    assert bench.import_on_node(archive).returncode == 0
    assert bench.tags() == {"app:1"}
    bench.engine.clear_images()
    bench.archive("app:1", BASE, TWO)  # another content under the name of what was signed
    assert refusals(archive)[0] == "signature.wrong"

    [listed] = bench.good("key", "ls", "dock", "--json").json
    assert (listed["name"], listed["state"]) == ("maria", "trusted")
    bench.good("key", "revoke", "dock", listed["fingerprint"][:20])
    assert refusals(signed)[0] == "signature.revoked"
    again = bench.run("key", "trust", "dock", f"{key}.pub")
    assert again.code == 1
    assert "was revoked here" in again.err
    assert bench.tags() == set()
    audit = bench.agent.get("/v1/audit")
    assert [each["outcome"] for each in audit if each["action"] == "key.trust"] == [
        "key.revoked",
        "done",
    ]


@pytest.mark.parametrize("store", WHOLE_STORES)
def test_stores_that_want_all_layers(
    store: str, short_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine: PrivateRuntime = request.getfixturevalue(store)
    with AgentProcess(short_folder, {"runtime": engine.url}) as agent:
        bench = Bench(tmp_path, agent, engine)
        first, second = tmp_path / "first.bundle", tmp_path / "second.bundle"
        bench.good("bundle", "make", "-o", first, bench.archive("app:1", BASE, ONE))
        new = bench.archive("app:2", BASE, TWO)
        bench.good("bundle", "make", "-o", second, new, "--since", first)
        try:
            assert bench.import_on_node(first).returncode == 0
            imported = bench.import_on_node(second)
            assert imported.returncode == 0, imported
            assert "app:2" in imported.stdout
            pushed = bench.push(first, second)
            assert [record["result"] for record in pushed.json] == ["present"]
        finally:
            engine.clear_images()
