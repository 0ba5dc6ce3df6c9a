"""What a snapshot leaves out of workloads."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import WITHHELD
from agent.protocol.workloads import (
    ExecProbe,
    Healthcheck,
    HttpProbe,
    Mount,
    NetworkUse,
    SecretUse,
    Workload,
)
from agent.snapshots.sealing import Seals
from agent.snapshots.withholding import check_nothing_told, withhold, withhold_settings

VALUE = "correct horse battery"
PLACES = {
    "environment.PLAIN",
    "environment.TOKEN",
    "command.1",
    "command.3",
    "labels.note",
    "labels.db.password",
    "mounts.0.driver_options.o",
    "networks.0.driver_options.key",
    "healthcheck.test.1",
    "probes.0.command.1",
    "probes.1.path",
    "log_options.splunk-token",
    "extra_hosts.0",
}


def everywhere(secret: str) -> Workload:
    """The secret in every text that a workload has."""
    return Workload(
        name="web",
        image="app:1",
        environment={"PLAIN": f"a {secret} b", "TOKEN": "other-text", "MODE": "fast"},
        command=["run", f"--key={secret}", "--password", "swordfish", "--port", "80"],
        labels={"note": secret, "db.password": "swordfish", "team": "vision"},
        mounts=[
            Mount(
                kind="volume",
                source="data",
                target="/data",
                driver_options={"o": "addr=10.0.0.1,username=me,password=swordfish"},
            )
        ],
        networks=[NetworkUse(name="net", driver_options={"key": secret})],
        healthcheck=Healthcheck(test=["CMD", f"curl http://me:{secret}@localhost"]),
        probes=[
            ExecProbe(command=["check", secret]),
            HttpProbe(port=80, path=f"/?token={secret}"),
        ],
        log_options={"splunk-token": "swordfish", "max-size": "10m"},
        extra_hosts=[f"db:{secret}"],
        secrets=[SecretUse(name="camera", target="/run/secrets/camera")],
    )


def test_a_secret_is_withheld_wherever_it_is() -> None:
    found = withhold(everywhere(VALUE), [VALUE.encode() + b"\n"], environment=True)
    text = msgspec.json.encode(found.workload).decode()
    assert VALUE not in text
    assert "swordfish" not in text
    assert "other-text" not in text
    assert set(found.places) == PLACES
    # What is no secret is there.
    told = found.workload
    assert told.environment["MODE"] == "fast"
    assert told.command == ["run", WITHHELD, "--password", WITHHELD, "--port", "80"]
    assert told.labels["team"] == "vision"
    assert told.secrets == [SecretUse(name="camera", target="/run/secrets/camera")]
    assert (told.image, told.mounts[0].target) == ("app:1", "/data")


def test_environments_are_names_unless_values_are_asked_for() -> None:
    workload = Workload(name="web", image="app:1", environment={"MODE": "fast", "EMPTY": ""})
    found = withhold(workload, [])
    assert found.workload.environment == {"MODE": WITHHELD, "EMPTY": ""}
    assert found.places == ["environment.MODE"]
    assert withhold(workload, [], environment=True).places == []


def test_a_secret_that_is_a_word_of_compose_does_no_harm() -> None:
    workload = Workload(
        name="web",
        image="app:1",
        restart="always",
        mounts=[Mount(kind="tmpfs", target="/t")],
        command=["always"],
    )
    found = withhold(workload, [b"always", b"tmpfs"])
    assert (found.workload.restart, found.workload.mounts[0].kind) == ("always", "tmpfs")
    assert found.places == ["command.0"]


def test_a_key_of_several_lines_is_found_by_one_of_them() -> None:
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    key = f"-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n".encode()
    workload = Workload(name="web", image="app:1", labels={"a": f"x{line}y"})
    assert withhold(workload, [key]).places == ["labels.a"]
    assert withhold_settings({"a": line}, [key], None)[0] != {"a": line}


def test_settings_with_a_secret_in_them_are_withheld_and_sealed() -> None:
    seals = Seals(b"k" * 32)
    settings = {"name": '"cam"', "url": f'"x{VALUE}y"', "token": '"roost_' + "Ab3-_" * 8 + 'xyz"'}
    told, sealed = withhold_settings(settings, [VALUE.encode()], seals)
    assert told["name"] == '"cam"'
    assert told["url"] == told["token"] == "<withheld: a secret is in it>"
    assert sealed == {
        key: seals("/agent.yaml", key, settings[key].encode()) for key in ("url", "token")
    }
    assert withhold_settings(settings, [VALUE.encode()], None) == (told, {})


def test_a_document_with_a_secret_does_not_go_out() -> None:
    document = msgspec.json.encode({"path": 'a "quoted" value'})
    check_nothing_told(document, [("short", b"a"), ("other", b"not there")])
    with pytest.raises(ProblemError, match="camera") as refused:
        check_nothing_told(document, [("camera", b'"quoted" value\n')])
    assert refused.value.code == "snapshot.secret"
    assert "quoted" not in refused.value.detail


@given(st.text(min_size=6, max_size=40).filter(lambda text: text.strip() == text))
def test_any_secret_is_withheld(secret: str) -> None:
    workload = Workload(
        name="web",
        image="app:1",
        environment={"PLAIN": f"<{secret}>"},
        command=[f"<{secret}>"],
        labels={"note": secret},
    )
    told = withhold(workload, [secret.encode()], environment=True)
    assert {"environment.PLAIN", "command.0", "labels.note"} <= set(told.places)
    shown = msgspec.to_builtins(told.workload)
    assert secret not in [*shown["command"], *shown["labels"].values()]
