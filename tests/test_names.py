"""N hypervisors and M display hosts cost N + M parts: only its own directory knows a hypervisor's name."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
HYPERVISOR = re.compile(r"kvm|qemu|libvirt|ivshmem|xen|hvm|\bgnt", re.IGNORECASE)


def code_of(path: Path) -> str:
    """The module without its comments and docstrings, which may explain themselves with examples."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ] or [ast.Pass()]
    return ast.unparse(tree)


@pytest.mark.parametrize("room", ["guid", "guiagent", "guiproto", "qubesdb", "shm"])
def test_nothing_outside_the_backends_names_a_hypervisor(room: str) -> None:
    found = {
        str(path.relative_to(PROJECT)): match[0]
        for path in (PROJECT / room).rglob("*.py")
        if (match := HYPERVISOR.search(code_of(path)))
    }
    assert not found


def test_a_backend_names_no_other_hypervisor() -> None:
    for path in (PROJECT / "backends" / "kvm").rglob("*.py"):
        assert not re.search("xen", code_of(path), re.IGNORECASE), path
    for path in (PROJECT / "backends" / "xen").rglob("*.py"):
        assert not re.search("kvm|qemu|ivshmem", code_of(path), re.IGNORECASE), path
    for room in ("local", "conformance", "machines"):
        for path in (PROJECT / "backends" / room).rglob("*.py"):
            # libvirt is no hypervisor: it manages any of them.
            assert not HYPERVISOR.search(code_of(path).replace("libvirt", "")), path
