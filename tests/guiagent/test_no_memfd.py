"""Xwayland without memfds draws into files of the directory that it is told, which go when it does."""

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path

from Xlib import X, Xatom, display

from guiagent.sources.xwayland.memory import SOCKET_PROPERTY, Keeper, WindowMemory
from tests.xserver import wait_until

_REFUSED = """
import errno, os, subprocess, sys
from guiagent.no_memfd import refuse_memfds
os.close(os.memfd_create("before"))
refuse_memfds()
try:
    os.memfd_create("after")
except OSError as error:
    assert error.errno == errno.ENOSYS, error
else:
    sys.exit("it is not refused")
"""
_CHILD = "import os\ntry:\n    os.memfd_create('x')\nexcept OSError:\n    print('refused')\n"


def run(code: str, **options: object) -> "subprocess.Popen[str]":
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).resolve().parents[2]), *sys.path))}
    return subprocess.Popen([sys.executable, "-c", code], env=environ, text=True, **options)  # type: ignore[call-overload, no-any-return]  # any


def test_memfds_are_refused_to_a_process_and_what_it_starts() -> None:
    code = f"{_REFUSED}\nsubprocess.run([sys.executable, '-c', {_CHILD!r}], check=True)\n"
    with run(code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "refused\n")


def test_xwayland_draws_into_files_then(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    code = (
        f"{_REFUSED}\nos.environ['XDG_RUNTIME_DIR'] = {str(tmp_path)!r}\nfrom guiagent.sources.xwayland import keeper\n"
        f"sys.argv[1:] = ['640', '480', '{writer}']\nsys.exit(keeper.main())\n"
    )
    with run(code, pass_fds=[writer], stdin=subprocess.DEVNULL) as process, contextlib.closing(os.fdopen(reader)):
        os.close(writer)
        try:
            name = f":{int(os.read(reader, 16))}"
            memory = draw(name)
            try:
                assert os.readlink(f"/proc/self/fd/{memory.fd}").startswith(f"{tmp_path}/")
                assert os.fstat(memory.fd).st_nlink == 0, "nobody else finds it, and it goes by itself"
                row = os.pread(memory.fd, 4 * memory.width, memory.offset + 100 * memory.stride)
                assert {row[at : at + 3] for at in range(0, len(row), 4)} == {b"\x33\x22\x11"}
            finally:
                memory.close()
        finally:
            process.terminate()
    assert list(tmp_path.iterdir()) == []


def draw(name: str) -> WindowMemory:
    """Where a window of one colour is drawn."""
    shown = display.Display(name)
    root = shown.screen().root
    path = root.get_full_property(shown.intern_atom(SOCKET_PROPERTY), Xatom.STRING)
    found: list[WindowMemory] = []
    with Keeper(Path(bytes(path.value).decode())) as keeper, contextlib.closing(shown):
        window = root.create_window(0, 0, 200, 150, 0, X.CopyFromParent, background_pixel=0x112233, override_redirect=1)
        window.map()
        shown.sync()

        def look() -> bool:
            select.select([keeper], [], [], 0.1)
            found.extend(memory for number, memory in keeper.news() if number == window.id and memory is not None)
            return bool(found)

        wait_until(look, "the memory of its window")
    for old in found[:-1]:
        old.close()
    return found[-1]
