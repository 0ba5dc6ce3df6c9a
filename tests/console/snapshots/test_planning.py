"""What a restore would do, and what stands in its way."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.protocol.gpus import MigInstance
from agent.protocol.images import LoadRequest, NodeImage
from agent.protocol.node_files import NodeFile
from agent.protocol.snapshots import WITHHELD, NodeSnapshot, RecordedFile
from agent.protocol.workloads import GpuRequest, SecretUse
from console.snapshots.planning import RestorePlan, Wish, plan_restore
from tests.console.snapshots.made import applied, digest, engine, facts, gpu, image, snapshot

HERE = snapshot(facts("new", gpus=[gpu(uuid="GPU-new-0")]), images=[image("app:1", 1)])
ONNX = NodeFile(kind="model", name="detector.onnx", sha256=digest(7), size_bytes=3)


def plan(
    then: NodeSnapshot,
    now: NodeSnapshot = HERE,
    *,
    load: LoadRequest | None = None,
    given: Mapping[tuple[str, str], str] | None = None,
    remove_others: bool = False,
) -> RestorePlan:
    return plan_restore(
        Wish(
            snapshot=then,
            id=digest(99),
            name="old.snapshot",
            load=load,
            given=given or {},
            remove_others=remove_others,
        ),
        now,
    )


def lines(found: RestorePlan, step: str) -> str:
    return "\n".join(line.text for line in found.lines if line.step == step)


def codes(found: RestorePlan) -> list[str]:
    return [problem.code for problem in found.problems]


def test_a_pin_goes_to_the_gpu_of_the_same_place() -> None:
    then = snapshot(
        facts(gpus=[gpu(0), gpu(1)]), workloads=[applied(gpu=GpuRequest(select="GPU-old-1"))]
    )
    now = snapshot(
        facts("new", gpus=[gpu(0, uuid="GPU-new-0"), gpu(1, uuid="GPU-new-1")]),
        images=[image("app:1", 1)],
    )
    found = plan(then, now)
    assert codes(found) == []
    [workload] = found.request.applies[0].workloads
    assert workload.gpu is not None
    assert workload.gpu.select == "GPU-new-1"
    assert "pinned to GPU-old-1 then, to GPU-new-1 there" in lines(found, "apply")
    # By index, or by what it asks for, it is as it was.
    again = plan(snapshot(workloads=[applied(gpu=GpuRequest(select="least-memory"))]), now)
    [workload] = again.request.applies[0].workloads
    assert workload.gpu == GpuRequest(select="least-memory")


def test_a_slice_goes_to_the_slice_of_the_same_place() -> None:
    old, new = gpu(0), gpu(0, uuid="GPU-new-0")
    old.mig_instances = [MigInstance(uuid="MIG-a", index=0), MigInstance(uuid="MIG-b", index=1)]
    new.mig_instances = [MigInstance(uuid="MIG-x", index=0), MigInstance(uuid="MIG-y", index=1)]
    then = snapshot(facts(gpus=[old]), workloads=[applied(gpu=GpuRequest(select="MIG-b"))])
    now = snapshot(facts("new", gpus=[new]), images=[image("app:1", 1)])
    [workload] = plan(then, now).request.applies[0].workloads
    assert workload.gpu is not None
    assert workload.gpu.select == "MIG-y"


def test_a_node_with_less() -> None:
    then = snapshot(
        facts(driver="580.65.06", cuda="13.0", gpus=[gpu(0), gpu(1)]),
        workloads=[applied(gpu=GpuRequest(select="GPU-old-1"))],
    )
    now = snapshot(
        facts("new", gpus=[gpu(0, gib=15, name="Tesla T4", uuid="GPU-new-0")]),
        images=[image("app:1", 1)],
    )
    found = plan(then, now)
    assert codes(found) == ["snapshot.refused"]
    assert "has no counterpart: the node has 1 GPUs" in found.problems[0].detail
    notes = lines(found, "note")
    assert "driver 535.183.01 there is older than 580.65.06 in the snapshot" in notes
    assert "Tesla T4, 15 GiB, there: it has less memory" in notes
    assert "GPU 1 (NVIDIA A10) has no counterpart there" in notes


def test_another_architecture_is_refused() -> None:
    found = plan(snapshot(facts(architecture="arm64")))
    assert codes(found) == ["snapshot.architecture"]


def test_secrets_that_lack_are_named_before_anything_begins() -> None:
    secret = SecretUse(name="camera", target="/run/secrets/camera")
    then = snapshot(workloads=[applied(secrets=[secret])], secrets=["camera", "unused"])
    found = plan(then)
    assert codes(found) == ["snapshot.secrets"]
    assert "new lacks 1 secret: camera (of web)" in found.problems[0].detail
    assert "unused" in lines(found, "note")
    there = snapshot(HERE.facts, images=HERE.images, secrets=["camera"])
    assert codes(plan(then, there)) == []


def test_withheld_values_are_given_or_the_nodes_own() -> None:
    recorded = applied(environment={"TOKEN": WITHHELD, "a.b": WITHHELD, "MODE": "fast"})
    recorded.withheld = ["environment.TOKEN", "environment.a.b"]
    then = snapshot(workloads=[recorded])
    found = plan(then)
    assert codes(found) == ["snapshot.withheld"]
    assert "environment.TOKEN, environment.a.b" in found.problems[0].detail
    assert found.request.applies == []

    found = plan(then, given={("web", "TOKEN"): "x", ("web", "a.b"): "y"})
    assert codes(found) == []
    assert found.request.applies[0].workloads[0].environment == {
        "TOKEN": "x",
        "a.b": "y",
        "MODE": "fast",
    }

    found = plan(then, given={("web", "environment.TOKEN"): "x", ("web", "TOKNE"): "y"})
    assert codes(found) == ["console.usage", "snapshot.withheld"]
    assert "--set web.TOKNE" in found.problems[0].detail
    assert "environment.a.b" in found.problems[1].detail

    own = applied(environment={"TOKEN": WITHHELD, "a.b": WITHHELD})
    now = snapshot(HERE.facts, images=HERE.images, workloads=[own])
    found = plan(then, now)
    assert codes(found) == []
    assert "environment.TOKEN, environment.a.b as the node has them" in lines(found, "apply")

    # With seals of one key it is known which of them are not as they were.
    recorded.seals = {"environment.TOKEN": "of then", "environment.a.b": "same"}
    own.seals = {"environment.TOKEN": "of now", "environment.a.b": "same"}
    then.sealed_by = now.sealed_by = "key"
    told = [line for line in plan(then, now).lines if "no longer what it was" in line.text]
    assert [(line.step, line.text.split(": ")[1]) for line in told] == [
        ("note", "environment.TOKEN")
    ]
    assert "no longer" not in lines(plan(then, now, given={("web", "TOKEN"): "x"}), "note")
    now.sealed_by = "another"
    assert "no longer" not in lines(plan(then, now), "note")

    once = snapshot(HERE.facts, images=HERE.images)
    once.remembered = {"web": ["TOKEN", "a.b"]}
    assert codes(plan(then, once)) == []


def test_the_image_of_then_is_meant_whatever_has_its_name_now() -> None:
    then = snapshot(images=[image("app:1", 1)], workloads=[applied(number=1)])
    moved = snapshot(HERE.facts, images=[image("app:1", 2), image("app:old", 1)])
    found = plan(then, moved)
    assert codes(found) == []
    assert found.request.applies[0].workloads[0].image == digest(1)
    assert "is another image there" in lines(found, "apply")

    other = snapshot(HERE.facts, images=[image("app:1", 2)])
    found = plan(then, other)
    assert codes(found) == ["snapshot.refused"]
    assert "app:1 is another image there" in found.problems[0].detail
    assert codes(plan(then, snapshot(HERE.facts))) == ["snapshot.refused"]


def test_engines_are_built_where_the_node_lacks_them() -> None:
    then = snapshot(engines=[engine(), engine("spare", key="ee" * 32, current=False)])
    found = plan(then, load=LoadRequest(files=[ONNX]))
    assert codes(found) == []
    [build] = found.request.builds
    assert (build.recipe.model, build.gpu) == ("detector", "GPU-new-0")
    assert "for NVIDIA A10 then, is built on the node" in lines(found, "build")

    found = plan(then)
    assert codes(found) == ["snapshot.refused"]
    assert "the model detector.onnx is not there" in found.problems[0].detail

    there = snapshot(HERE.facts, images=HERE.images, engines=[engine()])
    assert plan(then, there).request.builds == []


def test_an_imported_engine_is_told() -> None:
    imported = engine()
    imported.manifest.parts.recipe = None
    imported.manifest.imported = "/data/detector.plan"
    found = plan(snapshot(engines=[imported]))
    assert found.request.builds == []
    assert "import its plan there again (/data/detector.plan)" in lines(found, "note")


def test_nothing_is_removed_without_a_word() -> None:
    now = snapshot(HERE.facts, images=HERE.images, workloads=[applied(), applied("other")])
    then = snapshot(workloads=[applied()])
    found = plan(then, now)
    assert found.request.removes == []
    assert "other: not in the snapshot, and left alone" in lines(found, "note")
    found = plan(then, now, remove_others=True)
    assert found.request.removes == ["other"]
    assert lines(found, "remove") == "workload other; its volumes stay"
    assert found.steps == 2


def test_what_it_does_not_bring_is_told() -> None:
    unknown = applied("pinned")
    unknown.workload, unknown.reason = None, "it was not applied by Roost"
    then = snapshot(
        workloads=[unknown],
        files=[
            RecordedFile(kind="model", name="lost.onnx", size_bytes=3, sha256=digest(8)),
            RecordedFile(kind="release", name="app/app.yaml", size_bytes=3, sha256=digest(9)),
        ],
        configuration={"name": '"cam"', "policy.privileged": "true"},
    )
    now = snapshot(HERE.facts, configuration={"name": '"new"', "policy.privileged": "false"})
    found = plan(then, now)
    assert found.steps == 0
    notes = lines(found, "note")
    for word in (
        "pinned is left as it is: it was not applied by Roost",
        "model lost.onnx is not carried, and not there",
        "release app/app.yaml is not carried, and not there",
        "it differs in policy.privileged (",
    ):
        assert word in notes


@pytest.mark.parametrize("release", ["", "app"])
def test_workloads_of_one_release_are_applied_together(release: str) -> None:
    both = [applied("a"), applied("b")]
    for each in both:
        each.release = release
    [request] = plan(snapshot(workloads=both)).request.applies
    assert request.release == (release or "snapshot")
    assert [each.name for each in request.workloads] == ["a", "b"]


def order(found: RestorePlan) -> list[tuple[str, list[str]]]:
    return [(each.release, [one.name for one in each.workloads]) for each in found.request.applies]


def test_nobody_is_applied_before_those_it_waits_for() -> None:
    """By name, `api` and `car` would come first; a side-car has its owner's network."""
    then = snapshot(
        workloads=[
            applied("api", depends_on={"migrate": "completed"}),
            applied("car", network_mode="service:vpn"),
            applied("migrate", depends_on={"store": "healthy", "elsewhere": "started"}),
            applied("store"),
            applied("vpn"),
        ]
    )
    assert order(plan(then)) == [("app", ["store", "migrate", "api", "vpn", "car"])]


def test_releases_come_in_the_order_in_which_they_need_each_other() -> None:
    car, vpn, store = applied("car", network_mode="service:vpn"), applied("vpn"), applied("zoo")
    car.release, vpn.release, store.release = "a", "b", "a"
    assert order(plan(snapshot(workloads=[car, vpn, store]))) == [
        ("b", ["vpn"]),
        ("a", ["car", "zoo"]),
    ]
    # Each needs something of the other: one of them comes in two goes.
    back = applied("back", depends_on={"zoo": "started"})
    back.release = "b"
    assert order(plan(snapshot(workloads=[back, car, vpn, store]))) == [
        ("b", ["vpn"]),
        ("a", ["car", "zoo"]),
        ("b", ["back"]),
    ]


def test_more_workloads_than_a_request_takes_come_in_several() -> None:
    many = [applied(f"w{number:03}") for number in range(70)]
    assert [len(names) for _, names in order(plan(snapshot(workloads=many)))] == [64, 6]


def test_a_withheld_word_of_a_command_is_of_the_same_command_only() -> None:
    recorded = applied(command=["run", "--key", WITHHELD, "--port", "80"])
    recorded.withheld = ["command.2"]
    then = snapshot(workloads=[recorded])

    def on(command: list[str]) -> RestorePlan:
        here = snapshot(HERE.facts, images=HERE.images, workloads=[applied(command=command)])
        return plan(then, here)

    assert codes(on(["run", "--key", WITHHELD, "--port", "80"])) == []
    found = on(["run", "--port", "80", "--key", WITHHELD])
    assert codes(found) == ["snapshot.withheld"]
    assert "command.2" in found.problems[0].detail
    # So it is given.
    given = plan(then, given={("web", "command.2"): "x"})
    assert codes(given) == []
    assert given.request.applies[0].workloads[0].command == ["run", "--key", "x", "--port", "80"]


@pytest.mark.parametrize("of", ["then", "now"])
def test_workloads_that_could_not_be_told_are_not_taken_for_none(of: str) -> None:
    then, now = snapshot(), snapshot(HERE.facts, workloads=[applied()])
    (then if of == "then" else now).unknown = {"workloads": "the store is broken", "engines": "x"}
    found = plan(then, now, remove_others=True)
    assert codes(found) == ["snapshot.refused"]
    assert "which workloads there were: the store is broken" in found.problems[0].detail
    assert found.request.removes == []
    assert "does not know its engines: x" in lines(found, "note")


def unnamed(number: int, *layers: int) -> NodeImage:
    """An image of a store that does not tell its config."""
    found = image("app:1", number)
    found.config_digest, found.diff_ids = None, [digest(each) for each in layers]
    return found


def test_an_image_without_a_config_digest_is_known_by_its_id_or_all_its_layers() -> None:
    recorded = applied(number=1)
    recorded.config_digest = None
    then = snapshot(images=[unnamed(1, 11, 12)], workloads=[recorded])

    def on(*images: NodeImage) -> RestorePlan:
        return plan(then, snapshot(HERE.facts, images=images))

    for same in (unnamed(1, 11, 12), unnamed(2, 11, 12)):
        found = on(same)
        assert codes(found) == []
        assert found.request.applies[0].workloads[0].image == "app:1"
    found = on(unnamed(2, 10, 12))  # only the topmost layer is the same
    assert codes(found) == ["snapshot.refused"]
    assert "app:1 is another image there" in found.problems[0].detail
    found = on(unnamed(2))
    assert codes(found) == []
    assert "whether app:1 there is the image of then is unknown" in lines(found, "note")


def test_how_it_is_asked_for_is_in_the_request_without_values() -> None:
    recorded = applied(environment={"TOKEN": WITHHELD})
    recorded.withheld = ["environment.TOKEN"]
    then = snapshot(workloads=[recorded])
    found = plan(then, given={("web", "TOKEN"): "hunter2"}, remove_others=True)
    assert found.request.wish == "--remove-others --set web.TOKEN"
    assert found.request.alike == f"{digest(99)} --remove-others --set web.TOKEN"


def test_a_slice_goes_to_one_of_its_own_profile() -> None:
    old, new = gpu(0), gpu(0, uuid="GPU-new-0")
    old.mig_instances = [
        MigInstance(uuid="MIG-a", index=0, profile="1g.10gb"),
        MigInstance(uuid="MIG-b", index=1, profile="3g.40gb"),
    ]
    new.mig_instances = [
        MigInstance(uuid="MIG-x", index=0, profile="3g.40gb"),
        MigInstance(uuid="MIG-y", index=1, profile="3g.40gb"),
    ]
    now = snapshot(facts("new", gpus=[new]), images=[image("app:1", 1)])

    def pinned(select: str) -> RestorePlan:
        pin = applied(gpu=GpuRequest(select=select))
        return plan(snapshot(facts(gpus=[old]), workloads=[pin]), now)

    [workload] = pinned("MIG-b").request.applies[0].workloads
    assert workload.gpu is not None
    assert workload.gpu.select == "MIG-x"
    found = pinned("MIG-a")
    assert codes(found) == ["snapshot.refused"]
    assert "slice 1g.10gb of GPU 0" in found.problems[0].detail


def test_an_engine_is_not_built_from_another_model_of_that_name() -> None:
    of_then = engine()
    of_then.manifest.parts.onnx_sha256 = digest(7)
    there = RecordedFile(kind="model", name="detector.onnx", size_bytes=3, sha256=digest(8))
    now = snapshot(HERE.facts, images=HERE.images, files=[there])
    found = plan(snapshot(engines=[of_then]), now)
    assert codes(found) == ["snapshot.refused"]
    assert "detector.onnx there is another one" in found.problems[0].detail
    # The one that is carried takes its place.
    assert codes(plan(snapshot(engines=[of_then]), now, load=LoadRequest(files=[ONNX]))) == []


def test_more_engines_than_one_restore_takes() -> None:
    many = [engine(f"m{number}", key=f"{number:064x}") for number in range(65)]
    found = plan(snapshot(engines=many), load=LoadRequest(files=[ONNX]))
    assert "snapshot.refused" in codes(found)
    assert "it would bring 65 engines" in found.problems[0].detail
