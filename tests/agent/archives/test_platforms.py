"""Which platform's image a node gets: the cases of containerd's own rules."""

from __future__ import annotations

import pytest

from agent.archives.platforms import Platform, best, normalised


def platform(text: str) -> Platform:
    return Platform(*text.split("/"))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("linux/x86_64", "linux/amd64"),
        ("Linux/AMD64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_one_spelling_for_each(text: str, same: str) -> None:
    assert normalised(platform(text)) == platform(same)


@pytest.mark.parametrize(
    ("node", "offered", "chosen"),
    [
        ("linux/amd64", "linux/arm64 linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/386 linux/amd64", "linux/amd64"),
        ("linux/amd64", "linux/386 linux/arm64", "linux/386"),
        ("linux/amd64", "linux/amd64/v3 linux/amd64", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64 linux/amd64/v2 linux/amd64/v4", "linux/amd64/v2"),
        ("linux/aarch64", "linux/arm/v7 linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64", "linux/arm/v6 linux/arm/v7", "linux/arm/v7"),
        ("linux/arm64/v9", "linux/arm64 linux/arm64/v8.2", "linux/arm64/v8.2"),
        ("linux/arm64", "linux/arm64/v9 linux/arm64", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v5 linux/arm/v6 linux/arm64", "linux/arm/v6"),
        ("linux/arm/v6", "linux/arm/v7 linux/arm/v5", "linux/arm/v5"),
        ("linux/arm", "linux/arm/v8 linux/arm/v7", "linux/arm/v7"),
        ("linux/amd64", "windows/amd64", None),
        ("linux/amd64", "linux/arm64", None),
        ("linux/arm/v6", "linux/arm64 linux/arm/v7", None),
        ("linux/amd64", "linux/amd64/v2", None),
    ],
)
def test_the_best_of_what_is_offered(node: str, offered: str, chosen: str | None) -> None:
    offers = [(platform(text), text) for text in offered.split()]
    assert best(platform(node), offers) == chosen


def test_of_two_alike_the_first() -> None:
    offers = [(platform("linux/arm64"), 1), (platform("linux/arm64/v8"), 2)]
    assert best(platform("linux/aarch64"), offers) == 1
