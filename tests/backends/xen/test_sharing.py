"""The limits of grants: which one it was is said, as far as it can be known."""

from pathlib import Path

import numpy as np
import pytest

from backends.xen import sharing
from backends.xen.sharing import XenSharer, grant_limit


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "limit"
    monkeypatch.setattr(sharing, "LIMIT", path)
    return path


def test_the_kernels_limit_is_read(limit: Path) -> None:
    assert grant_limit() is None
    limit.write_text("1024\n")
    assert grant_limit() == 1024


def test_the_limit_that_would_be_passed_is_named(limit: Path) -> None:
    class Grant:
        refs = np.zeros(1000, np.uint32)

    sharer = XenSharer.__new__(XenSharer)  # without a Xen there is no other way to one
    sharer._grants = {(object(), 0): Grant()}  # type: ignore[dict-item]  # only its length counts
    limit.write_text("1024\n")
    assert sharer._remedy(25).startswith("1000 are granted, and the kernel's limit of 1024")
    assert "max_grant_frames" in sharer._remedy(24)
