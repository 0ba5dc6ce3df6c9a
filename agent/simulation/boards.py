"""The GPUs of the catalogue.

Sources, by mark: [nvml] facts recorded on a real card (H200, driver 580.159.04); [smi] printed
by nvidia-smi in published outputs for that board and driver branch; [sheet] NVIDIA's data sheet
of the board; [cc] NVIDIA's table of compute capabilities; [guess] not measured: a plausible
value that only moves the picture.
"""

from __future__ import annotations

from agent.gpu.simulated import Board, MigSlice

T4 = Board(
    label="t4",
    name="Tesla T4",  # [smi]
    compute_capability="7.5",  # [cc]
    architecture="turing",
    brand="tesla",  # [smi], branch 470
    memory_mebibytes=15109,  # [smi], branch 470, ECC on
    reserved_mebibytes=None,  # branch 470 has no second version of the memory call
    power_limit_watts=70.0,  # [sheet]
    idle_watts=9.0,  # [smi]
    idle_celsius=34.0,  # [smi]
    busy_celsius=76.0,  # [guess]
    slowdown_celsius=93.0,  # [guess]
    idle_clock_mhz=300,  # [guess]
    top_clock_mhz=1590,  # [sheet]
    memory_clock_mhz=5001,  # [smi]
    fan=False,  # passive
    ecc=True,
    link=(3, 16),  # [sheet]
)

A10 = Board(
    label="a10",
    name="NVIDIA A10",  # [smi]
    compute_capability="8.6",  # [cc]
    architecture="ampere",
    brand="nvidia",  # [smi]
    memory_mebibytes=23028,  # [smi], ECC on
    reserved_mebibytes=512,  # [guess]
    power_limit_watts=150.0,  # [smi]
    idle_watts=15.0,  # [smi]
    idle_celsius=33.0,  # [smi]
    busy_celsius=72.0,  # [guess]
    slowdown_celsius=95.0,  # [guess]
    idle_clock_mhz=210,  # [guess]
    top_clock_mhz=1695,  # [sheet]
    memory_clock_mhz=6251,  # [sheet]
    fan=False,  # passive
    ecc=True,
    link=(4, 16),  # [sheet]
)

RTX_4090 = Board(
    label="rtx4090",
    name="NVIDIA GeForce RTX 4090",  # [smi]
    compute_capability="8.9",  # [cc]
    architecture="ada",
    brand="geforce",  # [smi]
    memory_mebibytes=24564,  # [smi]
    reserved_mebibytes=346,  # [guess]
    power_limit_watts=450.0,  # [smi]
    idle_watts=19.0,  # [smi]
    idle_celsius=38.0,  # [smi]
    busy_celsius=74.0,  # [guess]
    slowdown_celsius=97.0,  # [guess]
    idle_clock_mhz=210,  # [guess]
    top_clock_mhz=2520,  # [sheet]
    memory_clock_mhz=10501,  # [sheet]
    fan=True,
    ecc=None,  # GeForce: the call is not supported
    link=(4, 16),  # [sheet]
)

H200 = Board(
    label="h200",
    name="NVIDIA H200",  # [nvml]
    compute_capability="9.0",  # [nvml]
    architecture="hopper",
    brand="nvidia",  # [nvml]
    memory_mebibytes=143771,  # [nvml] 150754820096 bytes
    reserved_mebibytes=616,  # [nvml]
    power_limit_watts=700.0,  # [nvml]
    idle_watts=77.0,  # [guess]; 128 W were recorded with the clocks up
    idle_celsius=29.0,  # [guess]
    busy_celsius=62.0,  # [guess]
    slowdown_celsius=95.0,  # [guess]
    idle_clock_mhz=345,  # [guess]
    top_clock_mhz=1980,  # [nvml]
    memory_clock_mhz=3201,  # [nvml]
    fan=False,  # [nvml] not supported
    ecc=True,  # [nvml]
    link=(5, 16),  # [nvml]
)

A100_MIG = Board(
    label="a100",
    name="NVIDIA A100 80GB PCIe",  # [smi]
    compute_capability="8.0",  # [cc]
    architecture="ampere",
    brand="nvidia",  # [smi]
    memory_mebibytes=81920,  # [smi]
    reserved_mebibytes=869,  # [guess]
    power_limit_watts=300.0,  # [sheet]
    idle_watts=45.0,  # [guess]
    idle_celsius=34.0,  # [guess]
    busy_celsius=66.0,  # [guess]
    slowdown_celsius=92.0,  # [guess]
    idle_clock_mhz=210,  # [guess]
    top_clock_mhz=1410,  # [sheet]
    memory_clock_mhz=1512,  # [sheet]
    fan=False,
    ecc=True,
    link=(4, 16),  # [sheet]
    slices=(  # [smi] memory of each profile
        MigSlice(profile="3g.40gb", memory_mebibytes=40192),
        MigSlice(profile="2g.20gb", memory_mebibytes=19968),
        MigSlice(profile="1g.10gb", memory_mebibytes=9728),
        MigSlice(profile="1g.10gb", memory_mebibytes=9728),
    ),
)

ORIN = Board(
    label="orin",
    name="Orin (nvgpu)",  # [smi] as JetPack 6 prints it
    compute_capability="8.7",  # [cc]
    architecture="ampere",
    brand=None,  # not asked: NVML knows little of a Jetson
    memory_mebibytes=None,
    reserved_mebibytes=None,
    power_limit_watts=None,  # the module has one budget for all its parts
    idle_watts=0.0,
    idle_celsius=44.0,  # [guess]
    busy_celsius=71.0,  # [guess]
    slowdown_celsius=None,
    idle_clock_mhz=306,  # [guess]
    top_clock_mhz=1300,  # [sheet] AGX Orin 64GB: 1.3 GHz
    memory_clock_mhz=None,
    fan=False,
    ecc=None,
    link=None,
)
