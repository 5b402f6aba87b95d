"""Disks of new AppVMs are copies of the image, holes and all, wherever cache and disks are kept."""

import os
import tempfile
from pathlib import Path

import pytest

from backends.xen.domains import copy_sparsely

SIZE = 64 << 20


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_disk_is_a_sparse_copy(tmp_path: Path, elsewhere: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if elsewhere else tmp_path) as directory:
        source, target = Path(directory) / "image", tmp_path / "disk"
        with source.open("wb") as file:
            os.truncate(file.fileno(), SIZE)
            for at, data in ((0, b"begin"), (SIZE // 2 - 3, b"middle" * 3000), (SIZE - 3, b"end")):
                file.seek(at)
                file.write(data)
        copy_sparsely(source, target)
        assert target.read_bytes() == source.read_bytes()
        assert target.stat().st_blocks * 512 < SIZE // 4
