"""An image that uses its GPU through the driver alone, and the CDI specification that gives it one.

The image is busybox, this machine's C library and `holds`, a program of 60 lines. No CUDA toolkit
and no NVIDIA Container Toolkit is needed: what the latter's `nvidia-ctk cdi generate` finds out
(device nodes, the driver's libraries, nvidia-smi) is looked up here, for these few alone.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

from tests.real import busybox
from tests.real.commands import run

IMAGE = "roost-test/cuda:1"
WITHOUT_SMI = "roost-test/cuda:without-smi"  # it is not in this one's PATH
LIBRARIES = "/usr/lib/x86_64-linux-gnu"  # one of its loader's own folders
DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1")
SHARED_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")

# `holds`: names the GPUs that CUDA sees. `holds MIB`: takes so much of the first one, and stays.
# `holds 1 wild`: then writes where no memory is, as an application with a defect does.
SOURCE = r"""
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *driver;
static const char *wild =
    ".version 6.0\n.target sm_50\n.address_size 64\n.visible .entry wild() {\n"
    ".reg .b64 %a; .reg .b32 %v; mov.u64 %a, 16; mov.u32 %v, 1; st.global.u32 [%a], %v; ret; }";

static int call(const char *name, void *a, void *b, void *c) {
  int (*function)(void *, void *, void *) = (int (*)(void *, void *, void *))dlsym(driver, name);
  int error = function ? function(a, b, c) : -1;
  if (error) {
    printf("%s: error %d\n", name, error);
    exit(3);
  }
  return error;
}

static void end(int number) {
  (void)number;
  _exit(0);
}

int main(int count, char **words) {
  signal(SIGTERM, end);
  setvbuf(stdout, NULL, _IOLBF, 0);
  driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) {
    puts(dlerror());
    return 2;
  }
  call("cuInit", 0, 0, 0);
  int gpus = 0;
  call("cuDeviceGetCount", &gpus, 0, 0);
  for (long gpu = 0; gpu < gpus; gpu++) {
    unsigned char id[16];
    call("cuDeviceGetUuid_v2", id, (void *)gpu, 0);
    printf("cuda:%ld is GPU-", gpu);
    for (int at = 0; at < 16; at++)
      printf("%s%02x", at == 4 || at == 6 || at == 8 || at == 10 ? "-" : "", id[at]);
    puts("");
  }
  if (count < 2)
    return gpus ? 0 : 4;
  void *context = 0;
  unsigned long long memory = 0;
  call("cuCtxCreate_v2", &context, 0, 0);
  call("cuMemAlloc_v2", &memory, (void *)(strtoul(words[1], 0, 10) << 20), 0);
  printf("holds %s MiB\n", words[1]);
  if (count > 2) {
    void *module = 0, *kernel = 0;
    call("cuModuleLoadData", &module, (void *)wild, 0);
    call("cuModuleGetFunction", &kernel, module, "wild");
    typedef int Launch(void *, int, int, int, int, int, int, int, void *, void *, void *);
    ((Launch *)dlsym(driver, "cuLaunchKernel"))(kernel, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0);
    call("cuCtxSynchronize", 0, 0, 0);
  }
  for (;;)
    pause();
}
"""


def gpu_uuids() -> list[str]:
    """Those of this machine as nvidia-smi has them, in the order of their device nodes."""
    asked = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    return run(*asked).stdout.split()


def write_root(folder: Path) -> Path:
    """The image's file system as a tar file, made in `folder`."""
    source, program = folder / "holds.c", folder / "holds"
    source.write_text(SOURCE)
    run("gcc", "-O1", "-o", str(program), str(source), "-ldl", seconds=60)
    file = folder / "cuda.tar"
    busybox.write_root(file)
    files = {"bin/holds": program} | _needs("nvidia-smi") | _needs(str(program))
    with tarfile.open(file, "a") as tar:
        for inside, path in files.items():
            tar.add(path.resolve(), inside)
    return file


def write_cdi(folder: Path) -> None:
    """A device for each GPU by number and by UUID, and `all`, as nvidia-ctk names them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise FileNotFoundError("no nvidia-smi in PATH")
    nodes = [{"path": f"/dev/{name}"} for name in SHARED_NODES if Path(f"/dev/{name}").exists()]
    mounts = {f"{LIBRARIES}/{name}": str(_library(name)) for name in DRIVER}
    mounts["/usr/bin/nvidia-smi"] = str(Path(program).resolve())
    own = [{"path": f"/dev/nvidia{index}"} for index in range(len(gpu_uuids()))]
    devices = {str(index): [node] for index, node in enumerate(own)}
    devices |= {uuid: [own[index]] for index, uuid in enumerate(gpu_uuids())} | {"all": own}
    spec = {
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "containerEdits": {
            "env": ["NVIDIA_VISIBLE_DEVICES=void"],
            "deviceNodes": nodes,
            "mounts": [
                {"hostPath": host, "containerPath": inside, "options": ["ro", "nosuid", "bind"]}
                for inside, host in mounts.items()
            ],
        },
        "devices": [
            {"name": name, "containerEdits": {"deviceNodes": nodes}}
            for name, nodes in devices.items()
        ],
    }
    folder.mkdir(exist_ok=True)
    (folder / "nvidia.json").write_text(json.dumps(spec))


def _needs(program: str) -> dict[str, Path]:
    """What a program is loaded with, by its path in the image: the loader, and libraries."""
    path = shutil.which(program)
    said = run("ldd", str(path)).stdout
    found = {}
    for line in said.splitlines():
        words = line.split()
        if "=>" in words and len(words) > 2:
            found[f"{LIBRARIES[1:]}/{words[0]}"] = Path(words[2])
        elif words[0].startswith("/"):
            found[words[0].lstrip("/")] = Path(words[0])
    # The driver's libraries are opened later, and need these.
    for name in ("libdl.so.2", "libpthread.so.0", "librt.so.1", "libm.so.6"):
        found[f"{LIBRARIES[1:]}/{name}"] = Path("/lib/x86_64-linux-gnu", name)
    return found


def _library(name: str) -> Path:
    """Where the driver's library is, as the loader of this machine finds it."""
    for line in run("ldconfig", "-p").stdout.splitlines():
        if line.strip().startswith(f"{name} ") and "x86-64" in line:
            return Path(line.rpartition("=> ")[2]).resolve()
    for folder in ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", LIBRARIES):
        if (path := Path(folder, name)).exists():
            return path.resolve()
    raise FileNotFoundError(f"no {name} on this machine")
