"""Whether images may be loaded here: where the node wants it, a trusted key must vouch for them.

What is looked at is what will be loaded: config digest, diffIDs and names, each of which the
runtime's own answer is compared with after the load. How it was packed does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.archives.bundle_manifest import Manifest, decode_manifest
from agent.archives.faults import FaultError
from agent.protocol.images import ImageContent
from agent.protocol.node_files import NodeFile
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import SignedManifest
from agent.rules.loading import config_digest
from agent.rules.references import familiar
from agent.store.trusted_keys import TrustedKeys

# When several signatures fail, the one that is nearest to good is told.
_NEAREST = ("signature.revoked", "signature.unknown_key", "signature.wrong", "signature.missing")
SIGN = "Sign it with a key that this node trusts: roost bundle make --key FILE, or"
SIGN_ARCHIVE = "roost key sign ARCHIVE. roost key ls NODE shows those keys."


class Vouching:
    """One node's policy on who may bring images."""

    def __init__(self, keys: TrustedKeys, *, required: bool) -> None:
        self._keys, self.required = keys, required

    def problems(
        self,
        contents: Sequence[ImageContent],
        signed: Sequence[SignedManifest],
        files: Sequence[NodeFile] = (),
    ) -> list[ProblemError]:
        """Why these images and files would be refused; none where nobody has to vouch. Blocks.

        Raises:
            ProblemError: `key.storage`: the trusted keys cannot be read.
        """
        if not self.required:
            return []
        judged = [self._judged(each) for each in signed]
        found = [self._problem(content, judged) for content in contents]
        found += [_file_problem(file, judged) for file in files]
        return [problem for problem in found if problem is not None]

    def _judged(self, signed: SignedManifest) -> Manifest | ProblemError:
        """The manifest, if a key that is trusted here has signed it as it is."""
        refusal = self._keys.refusal(signed, sign=f"{SIGN} {SIGN_ARCHIVE}")
        if refusal is not None:
            return refusal
        try:
            return decode_manifest(signed.manifest)
        except FaultError as fault:
            return _wrong(fault.what)

    def _problem(
        self, content: ImageContent, judged: Sequence[Manifest | ProblemError]
    ) -> ProblemError | None:
        problem = _unnamed(content, _good(judged))
        if problem is None:
            return None
        name = ", ".join(content.tags) or config_digest(content)
        return _worst(problem, judged, "image", name)


def _good(judged: Sequence[Manifest | ProblemError]) -> list[Manifest]:
    return [each for each in judged if isinstance(each, Manifest)]


def _worst(
    problem: ProblemError, judged: Sequence[Manifest | ProblemError], what: str, name: str
) -> ProblemError:
    problems = [problem, *(each for each in judged if isinstance(each, ProblemError))]
    worst = min(problems, key=lambda problem: _NEAREST.index(problem.code))
    return ProblemError(
        worst.code,
        f"{name}: {worst.detail}",
        params={**worst.params, what: name},
        hint=worst.hint,
    )


def _file_problem(file: NodeFile, judged: Sequence[Manifest | ProblemError]) -> ProblemError | None:
    """None when manifests name this file, at this place and with this content."""
    manifests = _good(judged)
    if not manifests:
        return _worst(_unsigned(), judged, "file", file.title)
    wanted = (file.kind, file.name, file.sha256)
    named = [each for manifest in manifests for each in manifest.files]
    if wanted in {(each.kind, each.name, each.sha256) for each in named}:
        return None
    return _worst(_wrong("what was signed does not name this file"), judged, "file", file.title)


def _unsigned() -> ProblemError:
    return ProblemError(
        "signature.missing",
        "no signature came with it (policy.require_signature is on)",
        hint=f"{SIGN} {SIGN_ARCHIVE}",
    )


def _unnamed(content: ImageContent, manifests: Sequence[Manifest]) -> ProblemError | None:
    """None when manifests name this image, with these layers and names."""
    if not manifests:
        return _unsigned()
    identity = (config_digest(content), [layer.diff_id for layer in content.layers])
    named = [
        image
        for manifest in manifests
        for image in manifest.images
        if (image.config_digest, image.diff_ids) == identity
    ]
    if not named:
        return _wrong("what was signed does not name this image")
    allowed = {familiar(tag) for image in named for tag in image.tags}
    others = [tag for tag in content.tags if familiar(tag) not in allowed]
    if others:
        return _wrong(f"what was signed does not call it {', '.join(others)}")
    return None


def _wrong(why: str) -> ProblemError:
    return ProblemError("signature.wrong", why, hint=f"{SIGN} {SIGN_ARCHIVE}")
