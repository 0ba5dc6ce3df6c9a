"""The problems of uploads, in words."""

from __future__ import annotations

from agent.images.upload_record import UploadRecord
from agent.protocol.problems import ProblemError

# After these nothing of an upload is kept.
SPOILT = frozenset({"blob.digest", "blob.size", "blob.encoding", "upload.removed"})
GO_ON = "Ask for the offset with HEAD, and go on from there."


def not_found(upload_id: str) -> ProblemError:
    return ProblemError(
        "upload.not_found",
        f"no upload {upload_id[:64]!r} is here",
        params={"upload": upload_id[:64]},
        hint="It expired or was removed; begin a new one with POST /v1/uploads.",
    )


def exists(diff_id: str) -> ProblemError:
    return ProblemError(
        "blob.exists",
        f"layer {diff_id} is on the node already",
        params={"diff_id": diff_id},
        hint="Nothing needs to be sent.",
    )


def locked(record: UploadRecord) -> ProblemError:
    return ProblemError(
        "upload.locked",
        f"another request writes the upload of layer {record.diff_id}",
        params={"upload": record.id, "diff_id": record.diff_id, "encoder": record.encoder},
        hint="Wait and try again: it may become whole without you. If the other one falls silent,"
        " the next request takes over.",
    )


def too_many(limit: int) -> ProblemError:
    return ProblemError(
        "upload.too_many",
        f"{limit} uploads are under way on this node",
        params={"limit": limit},
        hint="Finish or remove some of them first.",
    )


def wrong_offset(said: int, right: int) -> ProblemError:
    return ProblemError(
        "upload.offset",
        f"Upload-Offset is {said}, the upload is at {right}",
        params={"offset": right},
        hint=f"Go on from byte {right}.",
    )


def wrong_length(said: int, known: int) -> ProblemError:
    return ProblemError(
        "upload.length",
        f"Upload-Length is {said}, but it is {known} already",
        params={"length": known},
        hint="The length is said once; begin a new upload for another one.",
    )


def too_long(record: UploadRecord) -> ProblemError:
    return ProblemError(
        "upload.too_large",
        f"more bytes came than the {record.end_bytes} that this upload may have",
        params={"limit_bytes": record.end_bytes},
        hint="Check Upload-Length and the size in Upload-Metadata.",
    )


def wrong_checksum(algorithm: str) -> ProblemError:
    return ProblemError(
        "upload.checksum",
        f"the {algorithm} of what came is not the one in Upload-Checksum",
        params={"algorithm": algorithm},
        hint="Nothing of this request was kept; send it again.",
    )


def no_space(record: UploadRecord, free: int, to_come: int) -> ProblemError:
    return ProblemError(
        "space.full",
        f"layer {record.diff_id} needs {record.length_bytes} bytes; {free} are free, and"
        f" {to_come} of those are for uploads under way",
        params={"needed_bytes": record.length_bytes, "free_bytes": free, "to_come_bytes": to_come},
        hint="Make room on the node; `roost image check` shows what could be freed.",
    )


def cut() -> ProblemError:
    return ProblemError("upload.cut", "the request ended before its last byte", hint=GO_ON)


def stalled(seconds: float) -> ProblemError:
    return ProblemError("upload.stalled", f"nothing came for {seconds:g} s", hint=GO_ON)


def taken_over() -> ProblemError:
    return ProblemError(
        "upload.taken_over", "it fell silent, and another request took it over", hint=GO_ON
    )


def removed() -> ProblemError:
    return ProblemError(
        "upload.removed", "it was removed while it was written", hint="Begin a new upload."
    )


def file_gone(record: UploadRecord) -> ProblemError:
    return ProblemError(
        "upload.removed",
        f"somebody removed what had come of layer {record.diff_id} from the node's disk",
        params={"upload": record.id, "diff_id": record.diff_id},
        hint="Begin a new upload: the layer is sent anew.",
    )


def not_ready() -> ProblemError:
    return ProblemError(
        "node.not_ready",
        "the agent has not looked yet which uploads it has",
        hint="Try again in a moment; /readyz tells when.",
    )


def stopping() -> ProblemError:
    return ProblemError(
        "node.stopping", "the agent stopped before all was here", hint=f"When it is back: {GO_ON}"
    )
