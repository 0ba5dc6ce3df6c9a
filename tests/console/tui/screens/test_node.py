"""One node."""

from __future__ import annotations

from agent.protocol.problems import ProblemError
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import A10, A100, DISK, GIB, H200, XID, make_node
from tests.console.tui.showing import fleet_of, settled, table_of, type_command


async def test_gpus_with_ten_minutes_and_the_nodes_own_figures(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01", A10, 2)], first="node cam-01")
    async with app.run_test(size=(80, 24)) as pilot:
        lines = (await settled(pilot)).splitlines()
    figures = "live driver 535.183.01 CUDA 12.2 cpu 17% memory 9.0/64.0G disk 41% free"
    assert " ".join(lines[2].split()).startswith(figures)
    assert lines[3].split() == ["Docker", "Engine", "24.0.7"]
    assert "UTILIZATION, 10 MIN" in lines[4]
    assert lines[5].split()[:6] == ["0", "A10", "ok", "40%", "13.8/23.0G", "61°"]
    # The agent remembers all ten minutes: no blank in the line of 29 signs.
    history = lines[5].split()[-1]
    assert len(history) == 29
    assert set(history) <= set("▁▂▃▄▅▆▇█")
    assert len(set(history)) > 1


async def test_the_history_goes_on_with_the_live_picture(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01", A10)], first="node cam-01")
    fleet_of(app).clients["cam-01"].fails = ProblemError("link.timeout", "too slow")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert text.splitlines()[5].rstrip().endswith("▄")
        assert "▄▄" not in text


async def test_tab_goes_through_the_sections(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-xid", findings=[XID, DISK])], first="node cam-xid")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "[containers 3] processes 2  jobs 0  findings 2  facts" in text
        assert "detector:1.0.0" in text
        await pilot.press("tab")
        text = await settled(pilot)
        assert "[processes 2]" in text
        assert "4000" in text
        assert "python3" in text
        await pilot.press("tab", "tab")
        text = await settled(pilot)
        assert "XID 79: the GPU has fallen off the bus" in text
        assert "GPU 0" in text
        await pilot.press("enter")
        text = await settled(pilot)
        assert "Cause  This is why" in text
        assert "Mend   Run `sudo nvidia-smi -pm 1`" in text
        await pilot.press("escape", "tab")
        text = await settled(pilot)
        assert "Ubuntu 22.04.4 LTS, kernel 5.15.0-105-generic, amd64" in text
        assert "Docker Engine 24.0.7, API 1.43, store graphdriver" in text
        await pilot.press("shift+tab", "shift+tab", "shift+tab", "shift+tab")
        assert "[containers 3]" in await settled(pilot)


async def test_enter_on_a_container_opens_its_log(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01")], first="node cam-01")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        assert "fleet \u203a cam-01 \u203a logs cam-01/detector" in await settled(pilot)


async def test_a_node_that_is_not_live_says_so_and_shows_what_was_known(
    make_app: MakeApp,
) -> None:
    problem = ProblemError("link.unreachable", "cam-01: no route to host", hint="Is it on?")
    node = make_node("cam-01", state="offline", seen_ago=7500, problem=problem)
    app = make_app([node], first="node cam-01")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "offline 2h old" in text
        assert " why  cam-01: no route to host" in text
        assert " do   Is it on?" in text
        assert "40%" in text
        await pilot.press("shift+tab")
        text = await settled(pilot)
        assert "offline, last heard 2h ago: cam-01: no route to host" in text


async def test_a_node_that_never_answered(make_app: MakeApp) -> None:
    app = make_app([make_node("new", state="connecting", seen_ago=None)], first="node new")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "connecting never heard of" in text
        assert "no GPU figures: the agent has not answered yet" in text
        assert "[containers ?] processes ?  jobs ?  findings ?  facts" in text
        assert "containers unknown: the agent has not answered yet" in text
        await pilot.press("tab")
        assert "processes unknown: the agent has not answered yet" in await settled(pilot)


async def test_containers_are_unknown_while_the_runtime_does_not_answer(
    make_app: MakeApp,
) -> None:
    node = make_node("cam", containers=0)
    record = node.sections["node"][""]
    record["runtime_state"], record["runtime_reason"] = "unreachable", "/run/docker.sock: refused"
    app = make_app([node], first="node cam")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "live  runtime unreachable" in text.splitlines()[2]
        assert " why  runtime unreachable: /run/docker.sock: refused" in text
        assert "[containers ?] processes 0 " in text
        assert "containers unknown: runtime unreachable: /run/docker.sock: refused" in text
        record["runtime_state"] = "ok"
        fleet_of(app).changed.add("cam")
        app.tick()
        text = await settled(pilot)
        assert "[containers 0]" in text
        assert "no containers" in text


async def test_processes_are_unknown_while_the_driver_does_not_answer(make_app: MakeApp) -> None:
    node = make_node("cam", stack="hung", reason="NVML has not come back for 40 s")
    app = make_app([node], first="node cam")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "[containers 3] processes ?  jobs 0 " in await settled(pilot)


async def test_why_and_what_to_do_are_never_cut(make_app: MakeApp) -> None:
    hint = " ".join(f"Step {number} is to look at something else first." for number in range(9))
    problem = ProblemError("ssh.host_key_changed", "the certificate is another one " * 4, hint=hint)
    node = make_node("cam", state="refused", seen_ago=None, problem=problem)
    app = make_app([node], first="node cam")
    async with app.run_test(size=(80, 24)) as pilot:
        lines = (await settled(pilot)).splitlines()
    assert hint in " ".join(" ".join(lines).split())


async def test_why_there_are_no_gpus_is_said(make_app: MakeApp) -> None:
    node = make_node("cam", stack="driver_mismatch", reason="module 550.90, library 535.183")
    app = make_app([node], first="node cam")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "no GPU figures: module 550.90, library 535.183" in await settled(pilot)


async def test_production_has_another_frame(make_app: MakeApp) -> None:
    app = make_app([make_node("gate", H200, 8, production=True)], first="node gate")
    async with app.run_test(size=(80, 24)) as pilot:
        lines = (await settled(pilot)).splitlines()
    assert lines[2].startswith("╔═ PRODUCTION ═")
    assert lines[22].startswith("╚═")


async def test_gpus_that_do_not_fit_are_counted(make_app: MakeApp) -> None:
    app = make_app([make_node("gate", H200, 8)], first="node gate")
    async with app.run_test(size=(60, 16)) as pilot:
        assert "4 more GPUs" in await settled(pilot)


async def test_no_such_node(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        text = await type_command(pilot, "node nowhere")
        assert "There is no node 'nowhere'" in text
        assert "fleet.node_unknown" in text


async def test_keys_work_on_containers_only_where_containers_are_shown(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01")], first="node cam-01")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("tab", "x")
        assert "There is no container under the cursor." in await settled(pilot)
        assert fleet_of(app).clients["cam-01"].acted == []


async def test_figures_change_in_place(make_app: MakeApp) -> None:
    app = make_app([make_node("cam-01")], first="node cam-01")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        fleet_of(app).set_gpu("cam-01", 0, temperature_celsius=90, state="lost")
        app.tick()
        text = await settled(pilot)
        assert "!90°" in text
        assert "lost" in text
        assert table_of(app).current is not None


async def test_a_long_fact_can_be_read_in_full(make_app: MakeApp) -> None:
    node = make_node("cam")
    node.sections["facts"][""]["host"]["os"] = "An operating system with a name " * 4 + "finis"
    app = make_app([node], first="node cam")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("shift+tab", *["down"] * 4)
        assert "finis" not in await settled(pilot)
        await pilot.press("enter")
        assert "finis" in await settled(pilot)


async def test_a_tall_terminal_shows_findings_and_facts_too(make_app: MakeApp) -> None:
    app = make_app([make_node("cam", findings=[DISK])], first="node cam")
    async with app.run_test(size=(200, 50)) as pilot:
        text = await settled(pilot)
    assert "Findings and facts" in text
    assert "/var/lib/docker is 97 % full" in text
    assert "Ubuntu 22.04.4 LTS" in text


async def test_t_tries_to_reach_the_node_again(make_app: MakeApp) -> None:
    app = make_app([make_node("a", state="offline"), make_node("b", state="refused")])
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("t")
        assert "Trying to reach a now." in await settled(pilot)
        await pilot.press("asterisk", "t")
        assert "Trying to reach 2 nodes now." in await settled(pilot)
        await pilot.press("escape", "enter", "t")
        await settled(pilot)
    assert fleet_of(app).retried == ["a", "a", "b", "a"]


async def test_a_gpu_in_slices_shows_them_and_why_it_has_no_utilization(make_app: MakeApp) -> None:
    node = make_node("cam", A100)
    slices = [
        {"uuid": f"MIG-{n}f3c1a52-8d1e-5f0a", "index": n, "profile": "3g.20gb",
         "memory_total_bytes": 20 * GIB}
        for n in range(2)
    ]  # fmt: skip
    node.sections["facts"][""]["gpus"][0]["mig_instances"] = slices
    node.sections["gpus"]["GPU-cam-0"]["utilization_percent"] = None
    node.sections["gpus"]["GPU-cam-0"]["unknown"] = {"utilization_percent": "mig"}
    app = make_app([node], first="node cam")
    async with app.run_test(size=(80, 24)) as pilot:
        lines = (await settled(pilot)).splitlines()
        assert lines[5].split()[:4] == ["0", "A100", "ok", "--"]
        assert "told of no GPU in MIG slices" in lines[5]
        assert lines[6].split()[:4] == ["3g.20gb", "slice", "--", "20.0G"]
        assert "MIG-0f3c1a52" in lines[6]
        assert "MIG-1f3c1a52" in lines[7]
        await pilot.press("shift+tab")
        assert "MIG-0f3c1a52-8d1e-5f0a" in await settled(pilot)


async def test_facts_name_runtimes_cdi_persistence_and_ecc(make_app: MakeApp) -> None:
    node = make_node("cam")
    facts = node.sections["facts"][""]
    facts["gpus"][0].update(persistence=False, ecc=True)
    facts["runtime"].update(runtimes=["runc", "nvidia"], cdi_devices=["nvidia.com/gpu=all"])
    app = make_app([node], first="node cam")
    async with app.run_test(size=(200, 30)) as pilot:
        await settled(pilot)
        await pilot.press("shift+tab")
        text = await settled(pilot)
    assert "persistence off, ECC on" in text
    assert "runtimes runc nvidia, 1 CDI device" in text
