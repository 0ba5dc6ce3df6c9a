"""The ASGI application: one for any number of nodes and listeners."""

from __future__ import annotations

from collections.abc import Mapping

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig

from agent.http.admission import admit
from agent.http.allowing import options_handlers
from agent.http.audit import get_audit
from agent.http.caller import Callers, Listener, provide_caller, provide_node
from agent.http.containers import act_on_container, get_container, get_logs, list_containers
from agent.http.doctor import get_doctor
from agent.http.engines import (
    bench_engine,
    build_engine,
    get_engine_log,
    get_engine_plan,
    import_engine,
    list_benches,
    list_engines,
    look_engine,
    remove_engine,
    show_bench,
    show_engines,
    use_engine,
    verify_engine,
)
from agent.http.events import get_events
from agent.http.execs import ExecSessions, resize_terminal, start_exec, write_input
from agent.http.files import list_files, remove_file
from agent.http.gpus import get_gpus
from agent.http.health import get_healthz, get_readyz
from agent.http.images import (
    build_image,
    get_needs,
    import_images,
    list_images,
    list_media,
    load_images,
    plan_images,
    remove_images,
    tag_image,
)
from agent.http.jobs import cancel_job, get_job, get_job_log, list_jobs, retry_job
from agent.http.keys import list_keys, revoke_key, trust_key
from agent.http.metrics import get_metrics
from agent.http.node import get_node
from agent.http.node_secrets import list_secrets, remove_secret, set_secret
from agent.http.openapi import openapi_handler
from agent.http.own_log import get_own_log
from agent.http.packages import get_packages, read_packages
from agent.http.problems import answer_http, answer_problem, answer_unexpected
from agent.http.site import fetch_layers, get_site, list_held, make_grant
from agent.http.snapshots import export_images, get_snapshot, read_model, restore_snapshot
from agent.http.telemetry import get_history, get_telemetry
from agent.http.upgrades import (
    begin_upgrade,
    confirm_upgrade,
    get_upgrade,
    revert_upgrade,
)
from agent.http.uploads import (
    create_upload,
    get_upload,
    override_method,
    remove_upload,
    upload_options,
    write_upload,
)
from agent.http.workloads import (
    apply_workloads,
    confirm_deployment,
    confirm_workload,
    list_workloads,
    pin_container,
    plan_pin,
    plan_workloads,
    remove_workload,
    renew_deployment,
    resolve_workload,
    restart_workload,
    revert_deployment,
    show_arms,
    show_deployment,
    show_workload,
)
from agent.protocol.problems import ProblemError

HANDLERS = [
    upload_options,  # first: Litestar would make one of its own for these paths
    act_on_container,
    apply_workloads,
    begin_upgrade,
    bench_engine,
    build_engine,
    cancel_job,
    confirm_deployment,
    confirm_upgrade,
    confirm_workload,
    create_upload,
    export_images,
    fetch_layers,
    get_audit,
    get_container,
    get_doctor,
    get_engine_log,
    get_engine_plan,
    get_events,
    get_gpus,
    get_healthz,
    get_history,
    get_job,
    get_job_log,
    get_metrics,
    get_logs,
    get_needs,
    get_node,
    get_own_log,
    get_packages,
    get_readyz,
    get_site,
    get_snapshot,
    get_telemetry,
    get_upgrade,
    get_upload,
    import_engine,
    read_packages,
    build_image,
    import_images,
    list_benches,
    list_containers,
    list_engines,
    look_engine,
    list_files,
    list_held,
    list_images,
    list_jobs,
    list_keys,
    list_media,
    list_secrets,
    list_workloads,
    load_images,
    make_grant,
    override_method,
    pin_container,
    plan_images,
    plan_pin,
    plan_workloads,
    read_model,
    remove_engine,
    remove_file,
    remove_images,
    remove_secret,
    remove_upload,
    remove_workload,
    renew_deployment,
    resize_terminal,
    resolve_workload,
    restart_workload,
    restore_snapshot,
    retry_job,
    revert_deployment,
    revert_upgrade,
    revoke_key,
    set_secret,
    show_bench,
    show_arms,
    show_deployment,
    show_engines,
    show_workload,
    start_exec,
    tag_image,
    trust_key,
    use_engine,
    verify_engine,
    write_input,
    write_upload,
]


def build_app(listeners: Mapping[str, Listener]) -> Callers:
    """The application behind all listeners, by their local address (see `Callers`)."""
    execs = ExecSessions()

    def make(config: OpenAPIConfig | None, *more: HTTPRouteHandler) -> Litestar:
        return Litestar(
            route_handlers=[*options_handlers(HANDLERS), *HANDLERS, *more],
            dependencies={
                "caller": Provide(provide_caller, sync_to_thread=False),
                "node": Provide(provide_node, sync_to_thread=False),
                "execs": Provide(lambda: execs, sync_to_thread=False),
            },
            before_request=admit,
            exception_handlers={
                ProblemError: answer_problem,
                HTTPException: answer_http,
                Exception: answer_unexpected,
            },
            openapi_config=config,
            logging_config=None,
            debug=False,
        )

    return Callers(make(None, openapi_handler(make)), listeners)
