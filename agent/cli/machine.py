"""The node that is this machine, over its real GPUs, runtime and files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent.archives.platforms import Platform
from agent.containers.docker_runtime import DockerRuntime
from agent.doctor.examiner import Examiner
from agent.engines.node_engines import EnginePlace
from agent.gpu.source import GpuSource
from agent.host.linux import LinuxHost
from agent.host.real_paths import ROOT, host_root
from agent.images.node_images import images_in
from agent.images.vouching import Vouching
from agent.jobs.jobs import Jobs
from agent.live.own_log import LogKeeper
from agent.node import Node
from agent.packages.node_packages import PackagePlace
from agent.settings import Settings, told
from agent.store.audit import AuditLog
from agent.store.database import Database
from agent.store.tokens import TokenStore
from agent.store.trusted_keys import TrustedKeys
from agent.traffic.choosing import home_of
from agent.traffic.node_traffic import NodeTraffic
from agent.upgrades.kit_vouching import KitVouching
from agent.upgrades.trial_files import TrialFiles
from agent.upgrades.upgrade_job import UpgradePlace
from agent.workloads.applying import Rules

# Where JetPack and NVIDIA's packages for Debian and Ubuntu put TensorRT's bindings.
SYSTEM_PYTHON = Path("/usr/bin/python3")


def this_machine(
    settings: Settings, database: Database, gpu: GpuSource, own_log: LogKeeper | None = None
) -> Node:
    """Everything wired together, nothing started."""
    root = host_root()
    runtime = DockerRuntime([settings.runtime] if settings.runtime else None)
    host = LinuxHost(root, state_dir=str(settings.state))
    jobs = Jobs(database)
    keys = TrustedKeys(settings.trusted_keys)
    proxies, gateway = settings.state / "traffic", settings.traffic.image
    return Node(
        name=settings.name,
        gpu=gpu,
        host=host,
        runtime=runtime,
        examiner=Examiner(
            runtime, root=root, gpu_memory_percent=settings.alerts.gpu_memory_percent
        ),
        audit=AuditLog(database),
        tokens=TokenStore(database),
        jobs=jobs,
        database=database,
        rules=Rules(
            secrets=settings.secrets,
            volume_roots=tuple(settings.policy.volume_roots),
            privileged=settings.policy.privileged,
            host=root,
            tables=settings.compatibility,
        ),
        engines=EnginePlace(
            folder=settings.state / "engines",
            pythons=_pythons(settings, root),
            keep=settings.engines.keep,
            roots=tuple(settings.policy.volume_roots),
            only_signed=settings.policy.require_signature,
            root=root,
        ),
        packages=PackagePlace(settings.state / "packages", root),
        traffic=NodeTraffic(
            runtime,
            home_of(runtime, proxies, image=gateway, run_by=settings.traffic.run_by, root=root),
            proxies,
            image=gateway,
        ),
        keys=keys,
        own_log=own_log,
        upgrade=upgrade_place(keys, required=settings.policy.require_signature),
        configuration=told(settings),
        images=images_in(
            settings.state,
            runtime=runtime,
            jobs=jobs,
            database=database,
            platform=Platform("linux", host.facts().architecture),
            vouching=Vouching(keys, required=settings.policy.require_signature),
            root=root,
        ),
    )


def upgrade_place(keys: TrustedKeys, *, required: bool) -> UpgradePlace | None:
    """Where kits are unpacked, and whose; None: no supervisor started this agent."""
    files = TrialFiles.of(os.environ)
    return None if files is None else UpgradePlace(files, KitVouching(keys, required=required))


def _pythons(settings: Settings, root: Path) -> list[Path]:
    """Of the machine, the first that may have TensorRT; the agent's own is none in a container."""
    if settings.engines.python:
        return [settings.engines.python]
    return [SYSTEM_PYTHON] if root != ROOT else [SYSTEM_PYTHON, Path(sys.executable)]
