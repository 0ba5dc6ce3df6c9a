"""Compose files that are merged, or extend each other; the first is named a.yml."""

from __future__ import annotations

from textwrap import dedent, indent

BASE = """\
name: plant
services:
  app:
    image: x:1
    command: [a, b]
    entrypoint: [e]
    environment: {A: "1", B: "2"}
    ports: ["80:80", "9000:9000"]
    volumes: ["/a:/data", "/c:/conf:ro"]
    dns: [1.1.1.1]
    cap_add: [NET_ADMIN]
    labels: [l=1]
    networks: [n1]
    depends_on: [db]
    logging: {driver: json-file, options: {max-size: 1m}}
    ulimits: {nofile: 100}
    healthcheck: {test: "true", interval: 5s}
    tmpfs: /tmp
    devices: ["/dev/a:/dev/x"]
    extra_hosts: ["h:1.2.3.4"]
    secrets: [s1]
    sysctls: {net.core.somaxconn: 1024}
  db: {image: y:1, networks: [n1]}
networks: {n1: {}, n2: {driver: bridge}}
secrets: {s1: {external: true}, s2: {external: true}}
"""


def over(lines: str, *, file: str = "b.yml") -> dict[str, str]:
    """The base with another file, which has these lines in its service."""
    return {"a.yml": BASE, file: "services:\n  app:\n" + indent(dedent(lines), "    ")}


def alone(text: str, **more: str) -> dict[str, str]:
    """One file, and others that it names by `name_yml`."""
    others = {name.replace("_yml", ".yml"): dedent(other) for name, other in more.items()}
    return {"a.yml": dedent(text), **others}


# By what they are about. Of those with a.yml and b.yml both are given, of others a.yml alone.
FILES: dict[str, dict[str, str]] = {
    "one value": over("image: x:2\nhostname: h\nrestart: always\n"),
    "whole lists": over("command: c d\nentrypoint: []\nhealthcheck: {test: [CMD, x]}\n"),
    "environment of a list": over('environment: ["B=3", "C=4=5"]\n'),
    "environment of a mapping": over("environment: {B: 3, D: true}\n"),
    "labels of both": over('labels: {l: "2", m: "3"}\n'),
    "sysctls of a list": over("sysctls: [net.core.somaxconn=2048, net.ipv4.ip_forward=1]\n"),
    "ports": over('ports: ["8080:80", "80:80", {target: 80, published: "80"}, "9000:9000/udp"]\n'),
    "volumes": over('volumes: ["/b:/data", /d:/new:ro]\n'),
    "lists": over("dns: 8.8.8.8\ncap_add: [SYS_TIME, NET_ADMIN]\ntmpfs: [/run, /tmp]\n"),
    "devices": over('devices: ["/dev/b:/dev/x", /dev/c]\n'),
    "hosts": over("extra_hosts: {i: 5.6.7.8}\n"),
    "networks": over("networks: {n2: {aliases: [q]}}\n"),
    "waits": over("depends_on: {db: {condition: service_healthy, restart: true}}\n"),
    "logging of another driver": over("logging: {driver: local, options: {max-file: '3'}}\n"),
    "logging of the same driver": over("logging: {options: {max-file: '3'}}\n"),
    "ulimits": over("ulimits: {nofile: {soft: 1, hard: 2}, nproc: 5}\n"),
    "secrets": over("secrets: [s1, {source: s2, target: /run/secrets/s1}]\n"),
    "nothing": over("image:\nports:\nenvironment:\n"),
    "reset": over("ports: !reset []\nhealthcheck: !reset null\nenvironment: {A: !reset null}\n"),
    "override": over('ports: !override ["1:1"]\nenvironment: !override {Z: "1"}\n'),
    "a list for a value": over("image: [x]\n"),
    "a mapping for a list": over("cap_add: {a: b}\n"),
    "at the top": {
        "a.yml": BASE,
        "b.yml": "name: other\nservices:\n  more: {image: z:1}\nnetworks: {n2: {internal: true}}\n",
    },
    "extends in the file": alone(
        """\
        name: plant
        services:
          base:
            image: x:1
            environment: {A: "1", B: "2"}
            cap_add: [NET_ADMIN]
            command: [a]
          app:
            extends: {service: base}
            environment: ["B=3"]
            cap_add: [SYS_TIME]
            command: [b]
          other: {extends: app, image: x:3}
        """
    ),
    "extends in other files": alone(
        """\
        name: plant
        services:
          app:
            extends: {file: sub/common.yml, service: middle}
            ports: ["80:80"]
        """,
        **{
            "sub/common_yml": """\
            services:
              base: {image: x:1, env_file: own.env, ports: ["81:81"]}
              middle: {extends: base, env_file: [{path: more.env}], labels: {m: "1"}}
            """,
            "sub/own.env": "FROM=own\nOWN=1\n",
            "sub/more.env": "FROM=more\n",
        },
    ),
    "extends before it is merged": {
        "a.yml": "name: n\nservices:\n  base: {image: x:1}\n  app: {extends: base, user: '1'}\n",
        "b.yml": "services:\n  base: {user: '2'}\n  app: {hostname: h}\n",
    },
    "extends round": alone(
        """\
        name: plant
        services:
          a: {extends: b, image: x:1}
          b: {extends: a}
        """
    ),
    "extends nothing": alone("name: plant\nservices:\n  a: {extends: b, image: x:1}\n"),
    "extends no file": alone(
        "name: plant\nservices:\n  a: {extends: {file: no.yml, service: b}, image: x:1}\n"
    ),
    "extends no service there": alone(
        "name: plant\nservices:\n  a: {extends: {file: c.yml, service: b}, image: x:1}\n",
        c_yml="services: {a: {image: x:1}}\n",
    ),
    "the network of another": alone(
        """\
        name: plant
        services:
          app: {image: x:1, network_mode: "service:vpn"}
          vpn: {image: x:1}
          side: {image: x:1, network_mode: "container:other"}
        """
    ),
    "the network of nobody": alone(
        'name: plant\nservices:\n  app: {image: x:1, network_mode: "service:vpn"}\n'
    ),
}


def given(files: dict[str, str]) -> list[str]:
    """Those that are named; the others are found by what stands in them."""
    return [name for name in files if name in ("a.yml", "b.yml")]
