"""Which node has what, and which names mean different images."""

from __future__ import annotations

from agent.protocol.images import NodeImage
from console.images.matrix import UNTAGGED, by_name, differing, lines_of


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def image(
    id_: str, *tags: str, config: str | None = None, layers: str = "", used: str = ""
) -> NodeImage:
    return NodeImage(
        id=digest(id_),
        config_digest=digest(config) if config else None,
        diff_ids=[digest(layer) for layer in layers],
        tags=list(tags),
        size_bytes=10,
        containers=[used] if used else [],
    )


def test_the_same_image_is_one_line() -> None:
    rows = by_name(
        {
            "a": [image("1", "app:1", config="1", layers="ab", used="web")],
            "b": [image("1", "app:1", config="1", layers="ab")],
        }
    )
    assert [(row.tag, row.id, row.nodes, row.containers) for row in rows] == [
        ("app:1", digest("1"), ["a", "b"], ["web"])
    ]
    assert differing(rows) == []


def test_a_name_that_is_another_image_elsewhere_differs() -> None:
    rows = by_name(
        {
            "a": [image("2", "app:1", config="2", layers="ac")],
            "b": [image("1", "app:1", config="1", layers="ab")],
            "c": [image("1", "app:1", config="1", layers="ab")],
        }
    )
    assert [(row.id[7], row.nodes) for row in rows] == [("1", ["b", "c"]), ("2", ["a"])]
    assert differing(rows) == ["app:1"]


def test_an_image_of_which_the_store_tells_no_config_is_known_by_its_layers() -> None:
    rows = by_name(
        {
            "graphdriver": [image("1", "app:1", config="1", layers="ab")],
            "containerd": [image("f", "app:1", layers="ab")],
            "other": [image("e", "app:1", layers="ac")],
        }
    )
    assert [(row.id[7], row.nodes) for row in rows] == [
        ("1", ["graphdriver", "containerd"]),
        ("e", ["other"]),
    ]


def test_where_two_configs_have_the_same_layers_nobody_guesses() -> None:
    rows = by_name(
        {
            "a": [image("1", "app:1", config="1", layers="ab")],
            "b": [image("2", "app:1", config="2", layers="ab")],
            "c": [image("f", "app:1", layers="ab")],
        }
    )
    assert sorted(row.id[7] for row in rows) == ["1", "2", "f"]


def test_images_without_a_name_do_not_differ() -> None:
    rows = by_name({"a": [image("1", layers="a"), image("2")], "b": [image("3")]})
    assert [row.tag for row in rows] == [UNTAGGED] * 3
    assert differing(rows) == []


def test_a_line_says_which_image_the_name_is_on_each_node() -> None:
    [line] = lines_of(
        by_name(
            {
                "a": [image("2", "app:1", config="2", layers="ac")],
                "b": [image("1", "app:1", config="1", layers="ab")],
                "c": [image("1", "app:1", config="1", layers="ab")],
                "d": [],
            }
        )
    )
    assert (line.tag, line.key, line.differs) == ("app:1", "app:1", True)
    assert line.usual.id == digest("1")
    assert {node: each.id[7] for node, each in line.on.items()} == {"a": "2", "b": "1", "c": "1"}


def test_images_without_a_name_have_a_line_each() -> None:
    lines = lines_of(by_name({"a": [image("1", layers="a"), image("2")], "b": [image("3")]}))
    assert sorted(line.key for line in lines) == [digest("1"), digest("2"), digest("3")]
    assert not any(line.differs for line in lines)


def test_one_image_under_one_name_is_counted_once_on_a_node() -> None:
    # The containerd store lists an image for each of its platforms.
    twice = [image("1", "app:1", config="1", layers="ab")] * 2
    [row] = by_name({"a": twice})
    assert row.nodes == ["a"]
