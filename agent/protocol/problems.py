"""Problems: what went wrong, as RFC 9457 problem+json, with one table of codes.

Agent and console raise the same error type, so a problem reads the same wherever it arose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

Param = str | int | float | bool | list[str] | None

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of an error answer (RFC 9457). `code` is stable; texts may change."""

    code: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    params: dict[str, Param] = {}
    type: str = "about:blank"


class Code(NamedTuple):
    """HTTP status (None: only ever raised on this side of the wire) and title of a code."""

    status: int | None
    title: str


CODES: Mapping[str, Code] = {
    # the request
    "request.invalid": Code(400, "The request is not valid"),
    "request.not_found": Code(404, "No such address"),
    "request.method": Code(405, "That method is not allowed here"),
    "request.too_large": Code(413, "The request is too large"),
    "request.media_type": Code(415, "That media type is not taken here"),
    # who asks
    "auth.missing": Code(401, "A token is needed"),
    "auth.token_unknown": Code(401, "The token is not known here"),
    "auth.token_expired": Code(401, "The token has expired"),
    "auth.role": Code(403, "The role is not enough"),
    "token.exists": Code(409, "A token of that name exists already"),
    "token.not_found": Code(404, "No such token"),
    # the agent as it starts
    "dial.no_socket": Code(None, "That socket is turned off"),
    "dial.no_agent": Code(None, "No agent listens there"),
    "listen.failed": Code(None, "The agent cannot listen there"),
    "simulate.files": Code(None, "Too many nodes for the open files allowed"),
    # the node
    "node.not_ready": Code(503, "The agent is not ready yet"),
    "node.internal": Code(500, "The agent made a mistake"),
    "node.stopping": Code(503, "The agent is stopping"),
    "store.failed": Code(503, "The agent's database cannot be used"),
    "store.newer": Code(503, "A newer agent wrote the database"),
    "gpu.not_found": Code(404, "No such GPU"),
    "history.unknown_metric": Code(404, "No such metric"),
    # jobs
    "job.not_found": Code(404, "No such job"),
    "job.ambiguous": Code(409, "More than one job matches"),
    "job.key_reused": Code(409, "The idempotency key was used for something else"),
    "job.queue_full": Code(429, "Too many jobs wait already"),
    "job.locked": Code(409, "Another job is at work on that"),
    "job.deadline": Code(504, "The job took too long"),
    "job.ended": Code(409, "The job has ended already"),
    "job.unsuccessful": Code(None, "The job did not succeed"),
    "job.not_retryable": Code(409, "The job cannot be tried again"),
    # GPUs for workloads
    "placement.select": Code(400, "That does not say which GPUs"),
    "placement.none": Code(409, "There are not so many GPUs"),
    "placement.unknown": Code(404, "No such GPU"),
    "placement.mig": Code(409, "The GPU is in MIG mode"),
    "placement.memory": Code(409, "The GPU has too little unreserved memory"),
    "placement.exclusive": Code(409, "The GPU cannot be had alone"),
    "placement.broken": Code(409, "The GPU cannot be used"),
    "gpu.no_way": Code(409, "No GPU can get into a container here"),
    "gpu.no_cdi_device": Code(409, "The CDI spec does not name the GPU"),
    "gpu.lost": Code(409, "The GPU is not there any more"),
    "gpu.not_seen": Code(409, "The container does not see its GPUs"),
    "gpu.could_not_tell": Code(409, "Whether the container sees its GPUs is not known"),
    # snapshots
    "snapshot.secret": Code(409, "The snapshot would tell a secret"),
    "snapshot.step": Code(409, "A step of the restore did not succeed"),
    "snapshot.unknown": Code(None, "That is no snapshot"),
    "snapshot.newer": Code(None, "A newer Roost took the snapshot"),
    "snapshot.damaged": Code(None, "The snapshot cannot be read"),
    "snapshot.architecture": Code(None, "The snapshot is of another architecture"),
    "snapshot.withheld": Code(409, "The snapshot lacks values that were withheld"),
    "snapshot.secrets": Code(None, "The node lacks secrets"),
    "snapshot.under_way": Code(None, "The snapshot is being restored otherwise"),
    "snapshot.refused": Code(None, "The node cannot be brought to that state"),
    "image.no_layers": Code(409, "Images of simulated nodes have no layers"),
    "packages.not_read": Code(404, "The packages were not read yet"),
    "packages.storage": Code(503, "The node's lists of packages cannot be kept"),
    "image.export_simulated": Code(409, "Simulated nodes have no bytes of images and files"),
    # deployments
    "pin.auto_remove": Code(409, "The container goes away when it stops"),
    "deploy.strategy": Code(409, "That strategy cannot work here"),
    "deploy.restart_policy": Code(409, "The runtime cannot change the restart policy"),
    "deploy.not_started": Code(409, "The runtime does not start the container"),
    "deploy.unwell": Code(409, "The new container is not well"),
    "deploy.unconfirmed": Code(409, "Nobody confirmed it in time"),
    "deploy.stuck": Code(409, "A person is needed"),
    # traffic
    "traffic.no_proxy": Code(409, "Traffic cannot be split here"),
    "traffic.port_taken": Code(409, "The port belongs to somebody else"),
    "traffic.no_address": Code(409, "The proxy cannot reach the container"),
    "traffic.not_started": Code(502, "The proxy does not start"),
    "traffic.no_answer": Code(503, "The proxy does not answer"),
    "traffic.not_as_told": Code(502, "The proxy is not as it was told to be"),
    "deployment.not_found": Code(404, "No such deployment"),
    "deployment.under_way": Code(409, "Another deployment is under way"),
    "deployment.stuck": Code(409, "A deployment is stuck there"),
    "deployment.superseded": Code(409, "A newer deployment has replaced it"),
    "deployment.not_stuck": Code(409, "Nothing is stuck"),
    "workload.not_found": Code(404, "No such workload"),
    "workload.name_taken": Code(409, "A container that Roost did not place has that name"),
    "workload.no_variant": Code(409, "None of its images can run here"),
    "workload.no_volume": Code(409, "The volume is not there"),
    "workload.no_network": Code(409, "The network is not there"),
    "workload.no_folder": Code(409, "The folder is not there"),
    "workload.no_engine": Code(409, "There is no engine for the workload"),
    "policy.privileged": Code(403, "The node's policy forbids privileged workloads"),
    "policy.volume_root": Code(403, "The node's policy forbids binding that folder"),
    "workload.unwell": Code(409, "The workload is not well"),
    "deployment.reverted": Code(409, "It was taken back already"),
    "secret.not_found": Code(404, "No such secret"),
    "secret.invalid": Code(422, "That is no secret"),
    "secret.in_use": Code(409, "A workload uses the secret"),
    "secret.too_many": Code(409, "The node keeps too many secrets"),
    "secret.storage": Code(503, "The node's folder of secrets cannot be used"),
    "secret.simulated": Code(409, "Simulated nodes keep no secrets"),
    # putting the agent on a machine
    "upgrade.no_kit": Code(409, "The agent does not run from a kit"),
    "upgrade.on_trial": Code(503, "The agent is on trial"),
    "upgrade.not_on_trial": Code(409, "That agent is not on trial"),
    "upgrade.schema": Code(409, "That agent cannot read the database any more"),
    "upgrade.replaced": Code(409, "Another agent was installed meanwhile"),
    "upgrade.busy": Code(409, "Work on the node cannot be interrupted"),
    "upgrade.returned": Code(409, "The upgrade went back"),
    "kit.broken": Code(None, "The kit is not whole"),
    "kit.twice": Code(None, "There are two kits for one architecture"),
    "kit.none": Code(None, "There is no kit for that architecture"),
    "kit.arch": Code(None, "The kit is for another architecture"),
    "kit.root": Code(None, "It needs root"),
    "kit.python": Code(None, "No Python there that the agent can run with"),
    "kit.shell": Code(None, "The login there runs no shell"),
    "kit.image": Code(None, "It is no image of the agent"),
    "kit.runtime": Code(None, "No container runtime answers there"),
    "kit.load": Code(None, "The image cannot be loaded"),
    "kit.way": Code(None, "The agent there was installed in another way"),
    "kit.libc": Code(None, "The system there is too old"),
    "kit.read_only": Code(None, "The filesystem is read-only"),
    "kit.no_space": Code(None, "There is not enough room"),
    "kit.group": Code(None, "The group cannot be made"),
    "kit.name": Code(None, "Another container there has the agent's name"),
    "kit.host": Code(None, "The agent's container may not see its machine"),
    "kit.service": Code(None, "The service does not start"),
    "kit.older": Code(None, "A newer agent is there already"),
    "kit.in_use": Code(None, "What would go is in use"),
    "kit.busy": Code(None, "Something is going on there"),
    "kit.copy": Code(None, "The kit could not be copied"),
    "kit.installer": Code(None, "The installer does not answer as it should"),
    "kit.silent": Code(None, "The agent that was installed does not answer"),
    "kit.no_lock": Code(None, "What the agent needs is not written down"),
    "kit.wheels": Code(None, "The wheels could not be had"),
    "kit.write": Code(None, "The kit cannot be written"),
    # TensorRT engines
    "engine.simulated": Code(409, "Simulated nodes build no engines"),
    "engine.recipe": Code(422, "The recipe does not fit"),
    "engine.onnx": Code(422, "The ONNX model cannot be used"),
    "engine.profile": Code(422, "The profiles do not fit the model"),
    "engine.unsupported": Code(422, "The TensorRT there cannot do that"),
    "engine.no_tensorrt": Code(409, "There is no TensorRT"),
    "engine.no_gpu": Code(409, "The GPU to build on is not there"),
    "engine.build": Code(409, "TensorRT did not build the engine"),
    "engine.memory": Code(409, "The builder ran out of memory"),
    "engine.storage": Code(507, "The engine cannot be stored"),
    "engine.plan": Code(409, "The plan is no engine"),
    "engine.unfit": Code(409, "The engine does not run on the GPU"),
    "engine.inputs": Code(422, "The inputs for the trial do not fit the engine"),
    "engine.worker": Code(502, "The builder did not do its work"),
    "engine.silent": Code(504, "The builder says nothing"),
    "engine.gpu_busy": Code(409, "The GPU has too little memory free"),
    "engine.outputs": Code(409, "The engine computes something else"),
    "engine.latency": Code(409, "The engine is too slow"),
    "engine.not_verified": Code(409, "The engine was not found good"),
    "engine.current": Code(409, "The engine is in use"),
    "engine.handed": Code(409, "A workload has the engine"),
    "engine.not_found": Code(404, "No such engine"),
    "engine.ambiguous": Code(409, "More than one engine matches"),
    "engine.no_bench": Code(404, "No such bench"),
    "engine.no_triton": Code(409, "Triton cannot run the engine"),
    "engine.several": Code(409, "The nodes have different engines"),
    # the container runtime
    "runtime.unreachable": Code(503, "The container runtime does not answer"),
    "runtime.permission": Code(503, "The agent may not use the runtime's socket"),
    "runtime.refused": Code(502, "The container runtime refused"),
    "container.not_found": Code(404, "No such container"),
    "container.ambiguous": Code(409, "More than one container matches"),
    "container.not_running": Code(409, "The container is not running"),
    "container.conflict": Code(409, "The container's state does not allow this"),
    "exec.not_found": Code(404, "No such exec session"),
    "exec.command": Code(400, "The command cannot be run"),
    "exec.too_many": Code(429, "Too many exec sessions"),
    # images, and the space for them
    "image.path": Code(422, "That is no path on the node"),
    "image.platform": Code(422, "The image is for another platform"),
    "image.nothing": Code(422, "Nothing is asked for"),
    "image.config": Code(422, "The image's config does not fit"),
    "image.reference": Code(422, "That is no name for an image"),
    "image.not_found": Code(404, "No such image"),
    "image.ambiguous": Code(409, "More than one image matches"),
    "image.in_use": Code(409, "The image is in use"),
    "image.last_tag": Code(409, "It is the image's only tag"),
    "image.load_failed": Code(502, "The runtime did not load the archive"),
    "image.build_failed": Code(502, "The image was not built"),
    "image.broken": Code(502, "The image in the runtime is broken"),
    # models and release files
    "file.name": Code(422, "That cannot be a file's name on a node"),
    "file.clash": Code(422, "Two files want the same place"),
    "file.broken": Code(502, "The file on the disk is not what was written"),
    "file.not_found": Code(404, "No such file among those that came"),
    "media.silent": Code(504, "The media do not answer"),
    "space.short": Code(507, "There is not enough space"),
    "space.full": Code(507, "The disk is full"),
    # layers on their way to the node
    "upload.version": Code(412, "Another version of tus is spoken here"),
    "upload.header": Code(400, "A tus header is missing or does not fit"),
    "upload.metadata": Code(400, "The upload does not say what it is"),
    "upload.not_found": Code(404, "No such upload"),
    "upload.stalled": Code(408, "The upload stood still"),
    "upload.cut": Code(400, "The upload was cut off"),
    "upload.offset": Code(409, "The upload is at another offset"),
    "upload.length": Code(409, "The upload has another length"),
    "upload.taken_over": Code(409, "Another request goes on with the upload"),
    "upload.removed": Code(410, "The upload was removed"),
    "upload.too_large": Code(413, "The upload is too large"),
    "upload.locked": Code(423, "Another request writes the upload"),
    "upload.too_many": Code(429, "Too many uploads"),
    "upload.checksum": Code(460, "The checksum does not fit"),
    "blob.not_found": Code(404, "No such layer in the node's store"),
    "blob.exists": Code(409, "The layer is on the node already"),
    "blob.digest": Code(422, "The layer is not the one that was announced"),
    "blob.size": Code(422, "The layer has another size than was announced"),
    "blob.encoding": Code(422, "The layer cannot be decompressed"),
    "blob.storage": Code(503, "The node's disk does not do its work"),
    # layers from another node of the site
    "site.off": Code(409, "The node does not do that for its site"),
    "site.too_many": Code(429, "Too many grants"),
    "site.unreachable": Code(504, "The other node cannot be reached over its site's network"),
    "site.fingerprint": Code(502, "The other node's certificate is not the one in the grant"),
    "site.refused": Code(502, "The other node does not know the grant"),
    "site.lacks": Code(502, "The other node does not have the layer"),
    "site.cut": Code(502, "The other node stopped amid a layer"),
    # building images on this side
    "build.files": Code(None, "Files of the build are missing or wrong"),
    "build.variant": Code(None, "There is no such variant"),
    "build.base_changed": Code(None, "The base is another one than before"),
    "build.not_there": Code(None, "What was built is not there"),
    # advisories about the packages of images
    "advisories.unreadable": Code(None, "The advisories cannot be read"),
    "sbom.unreadable": Code(None, "The SBOM cannot be read"),
    # archives of images
    "archive.unreadable": Code(422, "The archive cannot be read"),
    "archive.unknown": Code(422, "The file is not an image archive"),
    "archive.truncated": Code(422, "The archive ends too early"),
    "archive.damaged": Code(422, "The archive is damaged"),
    "archive.changed": Code(409, "The archive has changed"),
    "archive.path": Code(422, "The archive has a name that leads out of it"),
    "archive.link": Code(422, "The archive has a link that leads nowhere"),
    "archive.member_kind": Code(422, "The archive has an entry that does not belong there"),
    "archive.duplicate": Code(422, "The archive has an entry twice"),
    "archive.missing": Code(422, "The archive lacks a file"),
    "archive.manifest_missing": Code(422, "The archive names no image"),
    "archive.json": Code(422, "A JSON file in the archive is not valid"),
    "archive.too_large": Code(422, "The archive is over a limit"),
    "archive.tag": Code(422, "The archive has a tag that is not valid"),
    "archive.digest": Code(422, "A digest in the archive is wrong"),
    "archive.layers_mismatch": Code(422, "The archive has too few or too many layers"),
    "archive.layer_corrupt": Code(422, "A layer is damaged"),
    "archive.layer_unknown": Code(404, "No such layer in the archive"),
    "archive.bomb": Code(422, "The archive grows out of all measure"),
    "archive.platform": Code(422, "The archive has no image for this platform"),
    "archive.tag_twice": Code(None, "Two images have the same name"),
    "push.budget": Code(None, "The budget of bytes is used up"),
    "archive.encoding": Code(422, "The encoded layer is damaged"),
    # bundles, and who vouches for content
    "bundle.unknown": Code(422, "The file is not a bundle"),
    "bundle.manifest": Code(422, "The bundle's manifest is not valid"),
    "bundle.newer": Code(422, "A newer Roost made the bundle"),
    "bundle.entry": Code(422, "The bundle does not hold what its manifest says"),
    "bundle.needs": Code(422, "The bundle needs another one"),
    "bundle.part_missing": Code(422, "A part of the bundle is missing"),
    "bundle.part_changed": Code(422, "A part of the bundle was changed"),
    "bundle.lacks": Code(None, "The bundle would lack something"),
    "bundle.unwritable": Code(None, "The bundle cannot be written"),
    "key.invalid": Code(422, "That is not a public key"),
    "key.revoked": Code(409, "The key was revoked"),
    "key.not_found": Code(404, "No such key"),
    "key.ambiguous": Code(409, "More than one key matches"),
    "key.storage": Code(503, "The node's folder of trusted keys cannot be used"),
    "key.exists": Code(None, "A key is there already"),
    "key.unwritable": Code(None, "The key cannot be written"),
    "key.unreadable": Code(None, "The key cannot be read"),
    "key.open": Code(None, "Others can read the private key"),
    "signature.missing": Code(403, "It is not signed, and this node takes only what is"),
    "signature.unknown_key": Code(403, "The key that signed it is not trusted here"),
    "signature.revoked": Code(403, "The key that signed it was revoked"),
    "signature.wrong": Code(403, "The signature does not fit"),
    "signature.unwritable": Code(None, "The signature cannot be written"),
    # whether an image can run
    "compatibility.tables": Code(None, "The tables of drivers and GPUs cannot be used"),
    # settings and files
    "release.image": Code(None, "The release names an image that no archive has"),
    "release.archive": Code(None, "The archive has nothing for the release"),
    "release.wave": Code(None, "The wave means no nodes"),
    "release.unwatched": Code(None, "Nothing says whether the workload is well"),
    "release.replay": Code(None, "A replay cannot be sent to the workload"),
    "release.unjudged": Code(None, "What the release is judged by cannot be seen there"),
    "rollout.waves": Code(None, "The waves do not fit the nodes"),
    "rollout.nobody": Code(None, "No node can take the release"),
    "rollout.not_found": Code(None, "No such rollout"),
    "rollout.ambiguous": Code(None, "More than one rollout matches"),
    "rollout.start": Code(None, "The rollout was not started"),
    "rollout.state": Code(None, "The rollout cannot do that now"),
    "rollout.node_held": Code(None, "Another rollout is under way on a node"),
    "rollout.nodes_gone": Code(None, "fleet.yaml has nodes of the plan no more"),
    "rollout.credentials": Code(None, "A runner could not reach nodes"),
    "rollout.steered": Code(None, "Another process steers the rollout"),
    "rollout.journal": Code(None, "The journal of rollouts cannot be used"),
    "rollout.journal_broken": Code(None, "The journal of rollouts cannot be read"),
    "rollout.window": Code(None, "A window does not fit the nodes"),
    "settings.syntax": Code(None, "The file is not valid YAML"),
    "settings.unknown_key": Code(None, "The file has an unknown key"),
    "settings.invalid": Code(None, "The file has a value that does not fit"),
    "settings.unreadable": Code(None, "The file cannot be read"),
    "settings.unwritable": Code(None, "The file cannot be written"),
    # the fleet, as the console knows it
    "fleet.node_unknown": Code(None, "No such node in the fleet"),
    "fleet.node_exists": Code(None, "A node of that name is in the fleet already"),
    "fleet.address": Code(None, "The address is not one that Roost can reach"),
    "fleet.selector": Code(None, "The selector is not valid"),
    "fleet.label_unknown": Code(None, "No node has that label"),
    "fleet.empty": Code(None, "The fleet has no nodes yet"),
    "fleet.expect": Code(None, "Two expectations of one fact, and none is the more specific"),
    "fleet.variable": Code(None, "Two values for one variable, and none is the more specific"),
    # workload files
    "compose.unreadable": Code(None, "The file cannot be read"),
    "compose.syntax": Code(None, "The file is not valid YAML"),
    "compose.too_large": Code(None, "The file is over a limit"),
    "compose.duplicate": Code(None, "The file says something twice"),
    "compose.unknown_key": Code(None, "The file has an unknown key"),
    "compose.invalid": Code(None, "The file has a value that does not fit"),
    "compose.unsupported": Code(None, "Roost does not do that"),
    "compose.ignored": Code(None, "That has no effect here"),
    "compose.variable": Code(None, "A variable has no value"),
    "compose.template": Code(None, "A variable is written in a way that does not fit"),
    "compose.undefined": Code(None, "The file uses a name that it does not define"),
    "compose.cycle": Code(None, "Services wait for each other"),
    "compose.path": Code(None, "That is no path on the node"),
    "compose.conflict": Code(None, "Two things in the file exclude each other"),
    "compose.name": Code(None, "The file does not say how its project is called"),
    "compose.env_file": Code(None, "The file with variables does not fit"),
    # reaching a node
    "link.unreachable": Code(None, "The node cannot be reached"),
    "link.timeout": Code(None, "The node did not answer in time"),
    "link.stale": Code(None, "The node has gone silent"),
    "link.garbage": Code(None, "What answers is not a Roost agent"),
    "link.too_large": Code(None, "The answer is too large"),
    "link.api_unknown": Code(None, "The agent speaks another API"),
    "link.fingerprint": Code(None, "The node's certificate is not the one that was pinned"),
    "link.token_missing": Code(None, "No token for this node"),
    "link.socket_path": Code(None, "The socket's path is too long"),
    "link.socket_missing": Code(None, "No agent listens there"),
    "link.socket_permission": Code(None, "You may not use the agent's socket"),
    "ssh.missing": Code(None, "OpenSSH is not installed here"),
    "ssh.passphrase": Code(None, "The SSH key wants its passphrase"),
    "ssh.host_key_unknown": Code(None, "The host's SSH key is not known yet"),
    "ssh.host_key_changed": Code(None, "The host's SSH key has changed"),
    "ssh.denied": Code(None, "SSH did not let you in"),
    "ssh.group": Code(None, "Your user there is not in group roost"),
    "ssh.no_agent": Code(None, "No agent runs on that host"),
    "ssh.sudo": Code(None, "Your user there may not act as an admin"),
    "ssh.forwarding": Code(None, "That host forbids socket forwarding"),
    # this side
    "console.internal": Code(None, "Roost made a mistake"),
    "console.usage": Code(None, "The command does not fit"),
    "console.read_only": Code(None, "The console is read-only"),
    "console.unwritable": Code(None, "The file cannot be written"),
    "console.terminal": Code(None, "This needs a terminal"),
    "demo.real": Code(None, "The demo cannot be shown"),
    "demo.simulator": Code(None, "The simulated nodes did not start"),
    "console.agent_missing": Code(None, "roost-agent is not installed here"),
}


class ProblemError(Exception):
    """Any failure that a person is told about.

    Args:
        code: a key of `CODES`.
        detail: what is wrong, and where.
        params: the same as data, for programs.
        hint: what to do about it.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        params: Mapping[str, Param] | None = None,
        hint: str | None = None,
    ) -> None:
        if code not in CODES:
            raise KeyError(f"{code} is not in the table of problem codes")
        super().__init__(detail)
        self.code = code
        self.title = CODES[code].title
        self.status = CODES[code].status or 500
        self.detail = detail
        self.params = dict(params or {})
        self.hint = hint

    def problem(self) -> Problem:
        """The body to answer with; a code that never crosses the wire would answer 500."""
        return Problem(
            code=self.code,
            title=self.title,
            status=self.status,
            detail=self.detail,
            hint=self.hint,
            params=self.params,
        )

    @classmethod
    def from_problem(cls, problem: Problem) -> ProblemError:
        """The error that an answer stands for; a newer agent's code is kept as it came."""
        error = cls("node.internal", problem.detail, params=problem.params, hint=problem.hint)
        error.code, error.title, error.status = problem.code, problem.title, problem.status
        return error
