"""Backends are found by name and by module, and what is wrong with one that is not is said."""

from pathlib import Path

import pytest

from backends import registry
from backends.base import MachineCannot
from backends.local import LocalBackend


def test_the_built_in_backend_is_known_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [])  # noqa: ARG005 - as the real one is called
    assert registry.names() == ["kvm", "local", "xen"]
    assert isinstance(registry.load("local", {}), LocalBackend)


def test_installed_entry_points_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "hyper-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hyper\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\nhyper = backends.local:factory\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.names() == ["hyper", "kvm", "local", "xen"]
    assert isinstance(registry.load("hyper", {}), LocalBackend)


def test_the_factory_gets_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "third.py").write_text(
        "from backends.local import LocalBackend\n"
        "class made:\n"
        "    @staticmethod\n"
        "    def here(environ):\n"
        "        return LocalBackend(environ['WHERE'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    backend = registry.load("third:made.here", {"WHERE": tmp_path})  # type: ignore[dict-item]  # only the factory looks
    assert isinstance(backend, LocalBackend)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(MachineCannot) as caught:
        registry.load("nope", {})
    assert "'nope'" in caught.value.what
    assert "local" in caught.value.remedy


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("no.such.module:factory", "No module named 'no'"),
        ("backends.local:nothing", "no attribute 'nothing'"),
        ("broken:factory", "SyntaxError"),
        (":factory", "Empty module name"),
        ("backends.local:", "no attribute"),
        ("backends.local:__name__", "not a factory"),
        ("builtins:dict", "made dict, not a Backend"),
    ],
)
def test_what_is_wrong_with_a_backend_is_said(
    spec: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("def factory(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MachineCannot) as caught:
        registry.load(spec, {})
    assert repr(spec) in caught.value.what
    assert reason in caught.value.what
    assert caught.value.remedy
