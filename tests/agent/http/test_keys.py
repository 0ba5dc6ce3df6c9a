"""`/v1/keys`: everybody sees them, only an admin changes them."""

from __future__ import annotations

from agent.protocol.signatures import TrustedKey
from agent.signatures.public_keys import PublicKey
from tests.agent.http.conftest import Served
from tests.agent.http.test_access import audit

KEY = PublicKey(bytes(range(32)), "maria")


async def test_an_admin_trusts_and_revokes(served: Served) -> None:
    async with served.client("admin") as client:
        trusted = await client.post("/v1/keys/trust", json={"key": KEY.line})
        assert (trusted.status_code, trusted.json()["state"]) == (200, "trusted")
        revoked = await client.post("/v1/keys/revoke", json={"key": KEY.fingerprint})
        assert revoked.json()["fingerprint"] == KEY.fingerprint
        again = await client.post("/v1/keys/trust", json={"key": KEY.line})
        assert (again.status_code, again.json()["code"]) == (409, "key.revoked")
        bad = await client.post("/v1/keys/trust", json={"key": "no key"})
        assert (bad.status_code, bad.json()["code"]) == (422, "key.invalid")
    async with served.client("viewer") as client:
        (listed,) = (await client.get("/v1/keys")).json()
    assert set(listed) == set(TrustedKey.__struct_fields__)
    assert (listed["name"], listed["state"]) == ("maria", "revoked")
    bad_record, again_record, revoke_record, trust_record = await audit(served)
    assert (trust_record.action, trust_record.subject) == ("key.trust", f"key/{KEY.fingerprint}")
    assert (revoke_record.action, revoke_record.outcome) == ("key.revoke", "done")
    assert (again_record.outcome, bad_record.outcome) == ("key.revoked", "key.invalid")


async def test_an_operator_changes_nothing(served: Served) -> None:
    async with served.client("operator") as client:
        for verb in ("trust", "revoke"):
            answer = await client.post(f"/v1/keys/{verb}", json={"key": KEY.line})
            assert (answer.status_code, answer.json()["code"]) == (403, "auth.role")
        assert (await client.get("/v1/keys")).json() == []
