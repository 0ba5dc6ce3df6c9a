"""dpkg's own files, whoever wrote them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.archives.dpkg_status import LIMIT_BYTES, PACKAGE, is_status, read_packages
from agent.archives.faults import FaultError

STATUS = """\
Package: libnvinfer8
Status: install ok installed
Priority: optional
Description: TensorRT
 Package: libnvinfer9
 .
 Version: 9
Version: 8.6.1.6-1+cuda12.0

Package: cuda-cudart-12-2
Status: install ok installed
Version: 1:12.2.140-1

Package: cuda-compat-12-2
Status: deinstall ok config-files
Version: 535.104.05-1

Package: libnvinfer-dev
Status: install ok installed
Version: 7.0

Package: libnvinfer10
Version: 10.3.0.26-1+cuda12.5
Status: hold ok installed
"""


class Pieces:
    """A source that gives a few bytes at a time, up to what is asked for."""

    def __init__(self, data: bytes, size: int = 1 << 20) -> None:
        self._data, self._size, self.position = data, size, 0

    def read(self, count: int) -> bytes:
        data = self._data[self.position : self.position + min(count, self._size)]
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        self.position += count


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_is_installed(size: int) -> None:
    assert read_packages(Pieces(STATUS.encode(), size)) == {
        "libnvinfer8": "8.6.1.6-1+cuda12.0",
        "cuda-cudart-12-2": "12.2.140-1",
        "libnvinfer10": "10.3.0.26-1+cuda12.5",
    }


def test_one_file_for_each_package() -> None:
    found = read_packages(Pieces(b"Package: cuda-compat-12-2\nVersion: 535.104.05-1\n"))
    assert found == {"cuda-compat-12-2": "535.104.05-1"}


def test_which_files() -> None:
    assert is_status("var/lib/dpkg/status")
    assert is_status("var/lib/dpkg/status.d/cuda-cudart-12-2")
    assert not is_status("var/lib/dpkg/status.d/cuda-cudart-12-2.md5sums")
    assert not is_status("var/lib/dpkg/status-old")
    assert not is_status("srv/var/lib/dpkg/status")


def test_without_end() -> None:
    with pytest.raises(FaultError, match="a line without end"):
        read_packages(Pieces(b"Package: " + b"x" * 200_000))
    with pytest.raises(FaultError, match="bytes of packages"):
        read_packages(Pieces(b"Package: x\n\n" * (LIMIT_BYTES // 12 + 1)))


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    b"Package: libnvinfer10",
                    b"Version: 10.1",
                    b"Version: \xff",
                    b"Status:",
                    b"",
                    b":",
                ]
            ),
        )
    ),
    st.integers(1, 64),
)
def test_anything(lines: list[bytes], size: int) -> None:
    for name, version in read_packages(Pieces(b"\n".join(lines), size)).items():
        assert PACKAGE.fullmatch(name)
        assert version[0].isdigit()
        assert version.isprintable()
