"""Whether a kit may become this node's agent: where the node wants it, a trusted key must vouch."""

from __future__ import annotations

from agent.archives.kits import KitArchive
from agent.protocol.problems import ProblemError
from agent.protocol.upgrades import LastUpgrade
from agent.store.trusted_keys import TrustedKeys

SIGN = (
    "Sign it with a key that this node trusts: roost agent kit sign KIT. roost key ls NODE shows"
    " those keys."
)


class KitVouching:
    """One node's policy on who may bring it another agent."""

    def __init__(self, keys: TrustedKeys, *, required: bool) -> None:
        self._keys, self.required = keys, required

    def check(self, kit: KitArchive) -> None:
        """Pass the kit, or say why not. Blocks.

        Raises:
            ProblemError: `signature.*`; `key.storage`: the trusted keys cannot be read.
        """
        if not self.required:
            return
        signed, name = kit.signed, kit.about.id
        if signed is None:
            raise ProblemError(
                "signature.missing",
                f"kit {name}: nobody has signed it (policy.require_signature is on)",
                params={"kit": name},
                hint=SIGN,
            )
        refusal = self._keys.refusal(signed, sign=SIGN)
        if refusal is not None:
            raise ProblemError(
                refusal.code,
                f"kit {name}: {refusal.detail}",
                params={**refusal.params, "kit": name},
                hint=refusal.hint,
            )
        if not kit.fits:
            raise ProblemError(
                "signature.wrong",
                f"kit {name}: what was signed is another kit",
                params={"kit": name},
                hint=SIGN,
            )

    def check_kept(self, name: str, last: LastUpgrade | None) -> None:
        """A kit that lies here unpacked: one that ran here is a way back, whoever signs today.

        Raises:
            ProblemError: `signature.missing`: it never ran here, so its file has to be seen.
        """
        ran = () if last is None else (last.was, last.before)
        if self.required and name not in ran:
            raise ProblemError(
                "signature.missing",
                f"kit {name} lies here unpacked, and did not run before this one"
                " (policy.require_signature is on)",
                params={"kit": name},
                hint="Send its file: roost agent upgrade NODE --kit FILE",
            )
