"""What it takes to bring a node back to a snapshot, by how both are: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from agent.protocol.deployments import ApplyRequest
from agent.protocol.engines import BuildRequest, Engine
from agent.protocol.images import LoadRequest, NodeImage
from agent.protocol.problems import Problem, ProblemError
from agent.protocol.snapshots import AppliedWorkload, NodeSnapshot, RestoreRequest
from agent.protocol.workloads import GpuRequest, Workload
from agent.rules.references import familiar
from agent.rules.versions import numbers
from console.snapshots.comparing import changed_values, configuration
from console.snapshots.gpu_places import moved_select, moved_uuid
from console.snapshots.ordering import in_order
from console.snapshots.same_image import one_store, same_image
from console.snapshots.values import Given, unused, with_values
from console.text import plural, size

NO_RELEASE = "snapshot"
STEPS_LIMIT = 64  # of a kind, in a RestoreRequest


class Line(msgspec.Struct, kw_only=True, frozen=True):
    """A line of the plan; those of one step stand together."""

    step: Literal["load", "place", "build", "apply", "remove", "note"]
    text: str


class RestorePlan(msgspec.Struct, kw_only=True):
    """What would happen. Nothing has changed yet."""

    node: str
    request: RestoreRequest
    lines: list[Line] = []
    problems: list[Problem] = []  # why it is refused
    undo: str | None = None  # the file with how the node was before

    @property
    def steps(self) -> int:
        """How many jobs it takes."""
        request = self.request
        load = request.load is not None
        return load + len(request.builds) + len(request.applies) + len(request.removes)


class Wish(msgspec.Struct, kw_only=True, frozen=True):
    """What is asked for."""

    snapshot: NodeSnapshot
    id: str
    name: str = ""  # of its file
    load: LoadRequest | None = None  # what it carries, for the node's platform
    carried: Sequence[NodeImage] = ()  # the images among that
    given: Given = {}
    remove_others: bool = False
    make_room: bool = False

    @property
    def words(self) -> str:
        """How it is asked for, beside the file: without the values that are given."""
        flags = {"--make-room": self.make_room, "--remove-others": self.remove_others}
        places = sorted(f"--set {workload}.{place}" for workload, place in self.given)
        return " ".join([*(flag for flag, is_set in flags.items() if is_set), *places])


def plan_restore(wish: Wish, now: NodeSnapshot) -> RestorePlan:
    """The plan for a node that is as `now` says.

    What only the node can tell (space, ports, GPU memory) is asked of it with the plan's requests.
    """
    return _Planner(wish, now).plan()


class _Planner:
    def __init__(self, wish: Wish, now: NodeSnapshot) -> None:
        self._wish, self._then, self._now = wish, wish.snapshot, now
        self._lines: list[Line] = []
        self._problems: list[Problem] = []

    def plan(self) -> RestorePlan:
        self._unknown()
        self._machine()
        self._problems += unused(self._wish.given, self._then)
        applies = self._applies()
        request = RestoreRequest(
            snapshot=self._wish.id,
            name=self._wish.name,
            wish=self._wish.words,
            load=self._wish.load,
            builds=list(self._builds()),
            applies=applies,
            removes=self._removes(),
        )
        self._too_many(request)
        self._secrets(applies)
        self._configuration()
        order = ("load", "place", "build", "apply", "remove", "note")
        lines = sorted(self._lines, key=lambda line: order.index(line.step))
        return RestorePlan(
            node=self._now.node, request=request, lines=lines, problems=self._problems
        )

    def _unknown(self) -> None:
        """What could not be told is not the same as nothing."""
        for side, words in ((self._then, "the snapshot"), (self._now, self._now.node)):
            for what, why in side.unknown.items():
                if what == "workloads":
                    self._refuse(
                        "snapshot.refused",
                        f"{words} does not know which workloads there were: {why}",
                        "Mend that, and take another snapshot, or ask again.",
                    )
                else:
                    self._note(f"{words} does not know its {what}: {why}")

    def _too_many(self, request: RestoreRequest) -> None:
        for what, count in (("engines", len(request.builds)), ("releases", len(request.applies))):
            if count > STEPS_LIMIT:
                self._refuse(
                    "snapshot.refused",
                    f"it would bring {count} {what}, and one restore takes {STEPS_LIMIT}",
                    "Build some of the engines, or apply some of the releases, before it.",
                )

    def _machine(self) -> None:
        then, now = self._then.facts, self._now.facts
        if then.host.architecture != now.host.architecture:
            self._refuse(
                "snapshot.architecture",
                f"the snapshot is of a node with {then.host.architecture}, {self._now.node} has"
                f" {now.host.architecture}",
                "Its images run on that architecture only: apply the release instead.",
            )
        for what, one, other in (
            ("driver", then.gpu_stack.driver_version, now.gpu_stack.driver_version),
            ("CUDA", then.gpu_stack.cuda_version, now.gpu_stack.cuda_version),
        ):
            if (numbers(other) or ()) < (numbers(one) or ()) and other:
                self._note(f"{what} {other} there is older than {one} in the snapshot")
        here = {gpu.index: gpu for gpu in now.gpus}
        for gpu in then.gpus:
            other_gpu = here.get(gpu.index)
            if other_gpu is None:
                self._note(f"GPU {gpu.index} ({gpu.name}) has no counterpart there")
                continue
            less = (other_gpu.memory_total_bytes or 0) < (gpu.memory_total_bytes or 0)
            if other_gpu.name != gpu.name or less:
                self._note(
                    f"GPU {gpu.index}: {gpu.name}, {size(gpu.memory_total_bytes)}, then;"
                    f" {other_gpu.name}, {size(other_gpu.memory_total_bytes)}, there"
                    + (": it has less memory" if less else "")
                )

    def _applies(self) -> list[ApplyRequest]:
        found: list[tuple[str, Workload]] = []
        for each in self._then.workloads:
            if each.workload is None:
                self._note(f"{each.name} is left as it is: {each.reason}")
                continue
            try:
                workload = self._workload(each, each.workload)
            except ProblemError as problem:
                self._problems.append(problem.problem())
                continue
            found.append((each.release or NO_RELEASE, workload))
        return in_order(found)

    def _workload(self, recorded: AppliedWorkload, workload: Workload) -> Workload:
        """As it has to be asked for here. Raises ProblemError `snapshot.*`."""
        workload, lacking = with_values(workload, self._wish.given, self._now)
        if lacking:
            self._line(
                "apply",
                f"{workload.name}: {', '.join(lacking)} as the node has them, or had them last",
            )
        differ = set(changed_values(workload.name, self._then, self._now))
        if kept := [place for place in lacking if place in differ]:
            self._note(
                f"{workload.name}: {', '.join(kept)}: no longer what it was then, and kept as it is"
                f" there; --set {workload.name}.PLACE=VALUE gives the value of then"
            )
        if workload.gpu is not None:
            workload = msgspec.structs.replace(
                workload, gpu=self._placed(workload.name, workload.gpu)
            )
        return self._with_image(recorded, workload)

    def _placed(self, name: str, request: GpuRequest) -> GpuRequest:
        select = moved_select(request.select, self._then.facts.gpus, self._now.facts.gpus)
        if select != request.select:
            self._line("apply", f"{name}: pinned to {request.select} then, to {select} there")
        return msgspec.structs.replace(request, select=select)

    def _with_image(self, recorded: AppliedWorkload, workload: Workload) -> Workload:
        """By a name that means the image of then, or else by its digest."""
        images = [*self._now.images, *self._wish.carried]
        there = {familiar(tag): each for each in images for tag in each.tags}
        names = [name for name in (workload.image, *workload.variants) if familiar(name) in there]
        same = {name: self._same(recorded, there[familiar(name)]) for name in names}
        if any(same.values()):
            return workload
        found = next((each for each in images if self._same(recorded, each)), None)
        if found is not None:
            digest = found.config_digest or found.id
            self._line(
                "apply",
                f"{workload.name}: by the digest {digest[7:19]}, for {workload.image} is another"
                " image there",
            )
            return msgspec.structs.replace(workload, image=digest, variants=[])
        if None in same.values():
            self._note(f"{workload.name}: whether {names[0]} there is the image of then is unknown")
            return workload
        if names and workload.variants:
            return workload  # another node takes another variant
        what = "is another image there" if names else "is not there"
        raise ProblemError(
            "snapshot.refused",
            f"{workload.name}: {workload.image} {what}, and the snapshot does not carry it",
            params={"workload": workload.name, "image": workload.image},
            hint="Take the snapshot with --with-images, or push the image first.",
        )

    def _same(self, recorded: AppliedWorkload, image: NodeImage) -> bool | None:
        """Whether that is the image that a workload's container was made from; None: unknown."""
        if recorded.config_digest is not None and image.config_digest is not None:
            return recorded.config_digest == image.config_digest
        if recorded.image is None:
            return None
        then = next(
            (each for each in self._then.images if each.id == recorded.image),
            NodeImage(
                id=recorded.image,
                config_digest=recorded.config_digest,
                diff_ids=[],
                size_bytes=0,
            ),
        )
        carried = any(image is each for each in self._wish.carried)
        alike = not carried and one_store(self._then, self._now)
        return same_image(then, image, alike=alike)

    def _builds(self) -> Iterator[BuildRequest]:
        there = {each.manifest.key for each in self._now.engines if each.current}
        for engine in self._then.engines:
            if not engine.current or engine.manifest.key in there:
                continue
            request = engine.again()
            if request is None:
                self._note(
                    f"engine {engine.model} was imported: import its plan there again"
                    f" ({engine.manifest.imported})"
                )
                continue
            missing = self._lacks(engine)
            if missing:
                self._refuse(
                    "snapshot.refused",
                    f"engine {engine.model} cannot be built: {missing}",
                    "Take the snapshot with --with-models and --with-images, or push them first.",
                )
                continue
            gpu = request.gpu
            if gpu is not None:
                try:
                    gpu = moved_uuid(gpu, self._then.facts.gpus, self._now.facts.gpus)
                except ProblemError:
                    gpu = None  # any GPU builds it: which one it runs on is the workload's
            parts = engine.manifest.parts
            self._line(
                "build",
                f"engine {engine.model}, for {parts.gpu or 'any GPU'} then, is built on the node",
            )
            yield msgspec.structs.replace(request, gpu=gpu)

    def _lacks(self, engine: Engine) -> str | None:
        """Why an engine's recipe cannot be done there, in words."""
        recipe = engine.manifest.parts.recipe
        if recipe is None:
            return None
        load = self._wish.load
        files = [*self._now.files, *(load.files if load else ())]  # what is carried replaces
        models = {each.name: each.sha256 for each in files if each.kind == "model"}
        if not recipe.onnx.startswith("/") and recipe.onnx not in models:
            return f"the model {recipe.onnx} is not there, and the snapshot does not carry it"
        then, there = engine.manifest.parts.onnx_sha256, models.get(recipe.onnx)
        if then and there and then.removeprefix("sha256:") != there.removeprefix("sha256:"):
            return f"the model {recipe.onnx} there is another one than the engine was built from"
        if recipe.onnx.startswith("/"):
            self._note(
                f"engine {engine.model} needs {recipe.onnx} on the node, which is not carried"
            )
        return None

    def _removes(self) -> list[str]:
        if "workloads" in {**self._then.unknown, **self._now.unknown}:
            return []
        names = {each.name for each in self._then.workloads}
        others = [each.name for each in self._now.workloads if each.name not in names]
        if not self._wish.remove_others:
            if others:
                self._note(
                    f"{', '.join(others)}: not in the snapshot, and left alone"
                    " (--remove-others removes them)"
                )
            return []
        for name in others:
            self._line("remove", f"workload {name}; its volumes stay")
        return others

    def _secrets(self, applies: Sequence[ApplyRequest]) -> None:
        there = {*self._now.secrets}
        used = {
            secret.name: workload.name
            for each in applies
            for workload in each.workloads
            for secret in workload.secrets
        }
        lacking = {name: user for name, user in used.items() if name not in there}
        if lacking:
            names = ", ".join(f"{name} (of {user})" for name, user in lacking.items())
            self._refuse(
                "snapshot.secrets",
                f"{self._now.node} lacks {plural(len(lacking), 'secret')}: {names}",
                f"Set them first: roost secret set {self._now.node} NAME < FILE",
            )
        others = [name for name in self._then.secrets if name not in {*there, *lacking}]
        if others:
            self._note(
                f"secrets that no workload of it uses, and the node lacks: {', '.join(others)}"
            )

    def _configuration(self) -> None:
        other = sorted(each.name for each in configuration(self._then, self._now))
        if other := [key for key in other if key != "name"]:
            self._note(
                f"agent.yaml stays as it is there; it differs in {', '.join(other)}"
                " (roost snapshot diff says how)"
            )
        models = {each.name for each in self._wish.load.files} if self._wish.load else set()
        here = {(each.kind, each.name, each.sha256) for each in self._now.files}
        for file in self._then.files:
            carried = file.kind == "model" and file.name in models
            if not carried and (file.kind, file.name, file.sha256) not in here:
                self._note(f"{file.kind} {file.name} is not carried, and not there")

    def _line(self, step: Literal["build", "apply", "remove"], text: str) -> None:
        self._lines.append(Line(step=step, text=text))

    def _note(self, text: str) -> None:
        self._lines.append(Line(step="note", text=text))

    def _refuse(self, code: str, what: str, hint: str) -> None:
        self._problems.append(ProblemError(code, what, hint=hint).problem())
