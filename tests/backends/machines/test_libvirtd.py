"""Without libvirt's Python module nothing is started, and what is missing is said."""

import importlib.util

import pytest

from backends.machines.libvirtd import Hypervisor
from guiproto.errors import MachineCannot


def test_a_missing_module_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MachineCannot, match=r"the Python module libvirt is not installed \(make help lists"):
        Hypervisor("test:///default")
