"""`/v1/site` on a node that is simulated: it says so, and who may ask is checked."""

from __future__ import annotations

from tests.agent.http.conftest import Served

DIFF_ID = "sha256:" + "1" * 64
GRANT = {"diff_ids": [DIFF_ID]}
FETCH = {
    "grant": {
        "node": "b",
        "addresses": ["127.0.0.1:7444"],
        "fingerprint": DIFF_ID,
        "secret": "s" * 43,
        "expires_in_seconds": 60,
    },
    "layers": [{"diff_id": DIFF_ID, "size_bytes": 1}],
}


async def test_it_cannot_be_a_seed_and_says_why(served: Served) -> None:
    async with served.client("viewer") as client:
        status = (await client.get("/v1/site")).json()
        held = (await client.post("/v1/site/held", json=GRANT)).json()
    assert (status["listening"], status["addresses"]) == (False, [])
    assert "simulated" in status["reason"]
    assert held == {"diff_ids": []}


async def test_a_viewer_makes_no_grants_and_fetches_nothing(served: Served) -> None:
    async with served.client("viewer") as client:
        for path, body in (("grants", GRANT), ("fetches", FETCH)):
            answer = await client.post(f"/v1/site/{path}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "auth.role")


async def test_both_are_audited_without_the_secret(served: Served) -> None:
    async with served.client() as client:
        for path, body in (("grants", GRANT), ("fetches", FETCH)):
            answer = await client.post(f"/v1/site/{path}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "site.off")
    records = served.node.audit.newest(10)
    assert [(each.action, each.outcome) for each in records] == [
        ("image.fetch", "site.off"),
        ("site.grant", "site.off"),
    ]
    assert "s" * 43 not in repr(records)


async def test_a_grant_names_addresses_not_hosts(served: Served) -> None:
    grant = {**FETCH["grant"], "addresses": ["evil.example:80"]}  # type: ignore[dict-item]
    async with served.client() as client:
        answer = await client.post("/v1/site/fetches", json={**FETCH, "grant": grant})
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")
