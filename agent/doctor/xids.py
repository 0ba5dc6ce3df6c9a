"""What XID error codes mean and what to do about them.

The facts are those of NVIDIA's Xid catalog, in our words; `source` names the row and the actions
that the catalog gives for it ("immediate / investigatory"). The catalog is about Ampere and
newer. Older GPUs report the same codes; that the same is done about them is our choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

CATALOG = "https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html"

# application: a program did wrong, the GPU is healthy. restart: the program died of a fault that
# may be the driver's or the hardware's. reset, reboot: the GPU does not work until then.
# hardware: someone must look at the machine. note: nothing to do for this one alone.
XidKind = Literal["application", "restart", "reset", "reboot", "hardware", "note"]


class Xid(NamedTuple):
    """One code."""

    meaning: str
    kind: XidKind
    source: str


def _row(code: int, meaning: str, kind: XidKind, actions: str) -> tuple[int, Xid]:
    return code, Xid(meaning, kind, f"{CATALOG} code {code}: {actions}")


_COPY_ENGINES = (39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136))
_VIDEO_ENGINES = (60, 68, 82, 83, 84, 86, 88, 89, *range(96, 106), 139)
_NVLINK_5 = range(144, 151)

XIDS: Mapping[int, Xid] = dict(
    [
        _row(8, "the GPU stopped processing", "restart", "RESTART_APP / CONTACT_SUPPORT"),
        _row(11, "a program sent an invalid command stream", "application", "RESTART_APP"),
        _row(
            13,
            "a program faulted on the GPU, most often by reading past the end of an array",
            "application",
            "RESTART_APP / WORKFLOW_XID_13",
        ),
        _row(14, "an error that was injected for a test", "note", "IGNORE / CONTACT_SUPPORT"),
        _row(25, "a program sent an invalid command stream", "application", "RESTART_APP"),
        _row(
            31,
            "a program touched memory that is not its own",
            "application",
            "RESTART_APP / WORKFLOW_XID_31",
        ),
        _row(
            32,
            "commands were damaged on their way over PCIe; mostly the link's quality",
            "restart",
            "RESTART_APP / CHECK_APP",
        ),
        _row(37, "the GPU's firmware reported an error", "note", "IGNORE / CHECK_APP"),
        _row(38, "the GPU's firmware reported an error", "note", "IGNORE / CONTACT_SUPPORT"),
        _row(
            43,
            "a program hit a fault of its own and was ended; the GPU is healthy",
            "application",
            "IGNORE / CONTACT_SUPPORT",
        ),
        _row(44, "a fault while the GPU changed programs", "note", "IGNORE / CONTACT_SUPPORT"),
        _row(
            45,
            "the driver cleaned up after a program that ended or was killed",
            "note",
            "WORKFLOW_XID_45 / follow the other XID",
        ),
        _row(46, "the GPU stopped processing", "reset", "RESET_GPU / CONTACT_SUPPORT"),
        _row(
            48,
            "an uncorrectable (double-bit) memory error",
            "reset",
            "WORKFLOW_XID_48: reset or reboot clears it",
        ),
        _row(
            54,
            "the board's power cable is not connected",
            "hardware",
            "CHECK_MECHANICALS / SUPPORT",
        ),
        _row(62, "the GPU's micro-controller halted", "reset", "RESET_GPU / CONTACT_SUPPORT"),
        _row(63, "a bad memory row was marked to be replaced", "note", "IGNORE / IGNORE"),
        _row(64, "a bad memory row could not be replaced", "reset", "RESET_GPU / CONTACT_SUPPORT"),
        _row(66, "the driver touched a register it may not", "note", "IGNORE / INVESTIGATE_SW"),
        _row(67, "the driver touched a register it may not", "note", "IGNORE / CONTACT_SUPPORT"),
        _row(69, "a program sent a command the GPU does not know", "application", "RESTART_APP"),
        _row(
            74,
            "an NVLink connection failed, at this end or the other",
            "reset",
            "WORKFLOW_NVLINK_ERR / CONTACT_SUPPORT",
        ),
        _row(78, "a vGPU did not start", "hardware", "UPDATE_SWFW / UPDATE_SWFW"),
        _row(
            79,
            "the GPU has fallen off the bus: PCIe does not reach it any more",
            "reboot",
            "RESTART_BM / CONTACT_SUPPORT",
        ),
        _row(80, "data for the GPU was damaged on its way", "restart", "RESTART_APP / CHECK_APP"),
        _row(92, "many correctable memory errors", "hardware", "IGNORE / CONTACT_SUPPORT"),
        _row(93, "the InfoROM's write limit was reached", "note", "IGNORE / CONTACT_SUPPORT"),
        _row(
            94,
            "a memory error that hit one program only; reset the GPU when convenient",
            "restart",
            "RESTART_APP / IGNORE",
        ),
        _row(95, "a memory error that hit several programs", "reset", "RESET_GPU / IGNORE"),
        _row(
            109, "the GPU did not change programs in time", "reset", "RESET_GPU / CONTACT_SUPPORT"
        ),
        _row(110, "a security fault; rare without a hardware fault", "reset", "RESET_GPU"),
        _row(119, "the GPU's system processor did not answer", "reset", "RESET_GPU"),
        _row(120, "the GPU's system processor failed", "reset", "RESET_GPU / INVESTIGATE_SW"),
        _row(121, "corrected errors on the link to the CPU", "note", "IGNORE / CONTACT_SUPPORT"),
        _row(136, "an NVLink connection could not be set up", "reset", "RESET_GPU"),
        _row(137, "a program made an illegal NVLink access", "application", "IGNORE"),
        _row(140, "an uncorrectable memory error", "reset", "RESET_GPU / CONTACT_SUPPORT"),
        _row(141, "a CUDA fast path failed", "note", "IGNORE / CONTACT_SUPPORT"),
        _row(143, "the GPU could not be initialised", "reset", "RESET_GPU / CONTACT_SUPPORT"),
        _row(151, "keys could not be changed", "reboot", "RESTART_VM / CONTACT_SUPPORT"),
        _row(
            154,
            "the driver says which recovery another XID needs; read its text",
            "note",
            "follow the other XID",
        ),
        _row(155, "an NVLink connection went down", "reset", "RESET_GPU / INVESTIGATE_SW_USER"),
        _row(156, "a faulty part of the GPU was retired", "reset", "RESET_GPU / IGNORE"),
        _row(157, "a faulty part could not be retired", "hardware", "IGNORE / CONTACT_SUPPORT"),
        _row(158, "the GPU did not answer in time", "reset", "RESET_GPU / CONTACT_SUPPORT"),
        _row(167, "PCIe did not answer in time", "hardware", "none given"),
        _row(171, "details of an uncorrectable memory error", "note", "goes with code 48"),
        _row(172, "details of an uncorrectable memory error", "note", "goes with code 48"),
        *(_row(c, "a copy engine failed", "restart", "RESTART_APP") for c in _COPY_ENGINES),
        *(_row(c, "a video engine failed", "restart", "RESTART_APP") for c in _VIDEO_ENGINES),
        *(_row(c, "an NVLink error", "hardware", "WORKFLOW_NVLINK5_ERR") for c in _NVLINK_5),
    ]
)
