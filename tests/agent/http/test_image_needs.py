"""What an image needs, over HTTP: who may have a container made for it."""

from __future__ import annotations

import msgspec
import pytest

from agent.protocol.compatibility import Found, ImageNeeds
from tests.agent.http.conftest import Served

NEEDS = ImageNeeds(
    architecture="amd64",
    wants_gpu=True,
    cuda=Found(version="12.2.2", where="env CUDA_VERSION"),
    unknown={"compat": "nobody has looked into the image"},
)


@pytest.fixture
def asked(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """What the runtime was asked for."""
    asked: list[tuple[str, bool]] = []

    async def image_needs(reference: str, *, inside: bool = False) -> ImageNeeds:
        asked.append((reference, inside))
        return msgspec.structs.replace(NEEDS, looked_inside=inside)

    monkeypatch.setattr(served.node.runtime, "image_needs", image_needs)
    return asked


async def get(served: Served, query: str, role: str = "operator") -> ImageNeeds:
    async with served.client("viewer" if role == "viewer" else "operator") as client:
        answer = await client.get(f"/v1/images/needs?{query}")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=ImageNeeds)


async def test_the_config_is_for_viewers(served: Served, asked: list[tuple[str, bool]]) -> None:
    assert await get(served, "image=detector:1", "viewer") == NEEDS
    found = await get(served, "image=detector:1&inside=true", "viewer")
    assert found.unknown["compat"] == ("nobody has looked into the image: that needs role operator")
    assert found.looked_inside is False
    assert asked == [("detector:1", False)] * 2
    assert served.node.audit.newest(10) == []


async def test_looking_inside_is_for_operators_and_written_down(
    served: Served, asked: list[tuple[str, bool]]
) -> None:
    assert (await get(served, "image=a%2Fb:1")).looked_inside is False
    assert served.node.audit.newest(10) == []
    assert (await get(served, "image=a%2Fb:1&inside=true")).looked_inside
    assert asked == [("a/b:1", False), ("a/b:1", True)]
    (record,) = served.node.audit.newest(10)
    assert (record.action, record.subject, record.outcome) == ("image.look", "image/a/b:1", "done")


async def test_an_image_that_is_not_there(served: Served) -> None:
    async with served.client() as client:
        answer = await client.get("/v1/images/needs?image=none:1&inside=true")
        assert (answer.status_code, answer.json()["code"]) == (404, "image.not_found")
        assert (await client.get("/v1/images/needs")).status_code == 400
        assert (await client.get("/v1/images/needs?image=")).status_code == 400
    assert served.node.audit.newest(1)[0].outcome == "image.not_found"
