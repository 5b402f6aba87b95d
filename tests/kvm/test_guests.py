"""Real Debian guests with the agent inside, guid outside: what a user sees and does, and what others do to his VMs."""

import hashlib
import os
import re
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from Xlib import XK, X
from Xlib.ext import xtest

from guid.hosts.x11.tint import tinted
from tests.e2e.rig import wait_for
from tests.kvm.rig import NAMES, Guests, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no virtual machines here: {why_not()}"),
    pytest.mark.timeout(1200),
]


def type_text(rig: Guests, text: str) -> None:
    display = rig.desk.display
    shift = display.keysym_to_keycode(XK.XK_Shift_L)
    for char in text:
        keysym = XK.XK_Return if char == "\n" else ord(char)
        keycode = display.keysym_to_keycode(keysym)
        shifted = display.keycode_to_keysym(keycode, 0) != keysym
        for kind, code in ((X.KeyPress, shift), (X.KeyPress, keycode), (X.KeyRelease, keycode), (X.KeyRelease, shift)):
            if shifted or code != shift:
                xtest.fake_input(display, kind, code)
        rig.desk.sync()


def color_at(rig: Guests, x: int, y: int) -> int:
    return int(rig.desk.pixels(x, y, 1, 1)[0, 0])


def test_typed_text_reaches_a_shell(rig: Guests) -> None:
    rig.guid("run", "one", "--", "xterm", "-T", "shell", "-geometry", "60x10+100+100", "-e", "sh")
    window = rig.window("one", "shell")
    assert (window["source"], window["guest_copies"], window["copies_per_frame"]) == ("x11", 1, 1)
    rig.desk.focus(window["local_id"])
    type_text(rig, "printf '\\033]0;%s-%s\\007' $(hostname) $((6*7))\n")
    rig.window("one", "one-42")
    assert color_at(rig, window["x"] - 1, window["y"] + 5) == 0x3465A4, "the border is blue"


def test_a_windows_icon_crosses_in_the_labels_colours(rig: Guests) -> None:
    rig.guid("run", "one", "--", "xeyes", "-geometry", "50x50+500+500", "-title", "iconic")
    window = rig.desk.window(rig.window("one", "iconic")["local_id"])
    rig.in_guest(
        "one",
        "window = next(w for w in root.query_tree().children if w.get_wm_name() == 'iconic')\n"
        "window.change_property(d.intern_atom('_NET_WM_ICON'), 6, 32, [1, 1, 0xFF000000 | 0x808080])\n"
        "d.sync()\n",
    )
    name = rig.desk.display.intern_atom("_NET_WM_ICON")
    expected = 0xFF000000 | int(tinted(np.array([0x808080], np.uint32), 0x3465A4)[0])
    wait_for("its icon", lambda: list(window.get_full_property(name, 0).value) == [1, 1, expected], 300)


def test_pixels_are_those_of_the_guests_own_window(rig: Guests) -> None:
    rig.guid("run", "one", "--", "xeyes", "-geometry", "301x203+700+100")
    window = rig.window("one", "xeyes")
    # The guest says what its window contains, in the window's title.
    rig.in_guest(
        "one",
        "window = next(w for w in root.query_tree().children if w.get_wm_name() == 'xeyes')\n"
        "size = window.get_geometry()\n"
        "image = window.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF).data\n"
        "pixels = bytearray(image)\n"
        "pixels[3::4] = bytes(len(pixels) // 4)\n"
        "window.set_wm_name('sum ' + hashlib.sha256(pixels).hexdigest())\n"
        "d.sync()\n",
    )
    window = rig.window("one", "sum ")
    title = re.search(r"sum ([0-9a-f]{64})", window["title"])
    assert title is not None

    def look() -> bool:
        shown = rig.desk.pixels(window["x"], window["y"], window["width"], window["height"])
        assert len(np.unique(shown)) > 1, "it is a picture"
        return hashlib.sha256(shown.astype("<u4").tobytes()).hexdigest() == title[1]

    wait_for("equal pixels", look, 10)


def test_resizing(rig: Guests) -> None:
    window = rig.window("one", "sum ")
    rig.desk.window(window["local_id"]).configure(width=406, height=256)  # with the border
    rig.desk.sync()

    def look() -> bool:
        found = rig.window("one", "sum ")
        return (found["width"], found["height"]) == (400, 250)

    wait_for("the new size", look, 60)
    rig.in_guest(
        "one",
        "window = next(w for w in root.query_tree().children if (w.get_wm_name() or '').startswith('sum'))\n"
        "size = window.get_geometry()\n"
        "window.set_wm_name(f'is {size.width} by {size.height}')\n"
        "d.sync()\n",
    )
    rig.window("one", "is 400 by 250")


def test_a_menu(rig: Guests) -> None:
    window = rig.window("one", "one-42")
    control = rig.desk.display.keysym_to_keycode(XK.XK_Control_L)
    rig.desk.move_pointer(window["x"] + 50, window["y"] + 50)
    xtest.fake_input(rig.desk.display, X.KeyPress, control)
    rig.desk.button(1, release=False)

    def look() -> bool:
        return any(row["override_redirect"] for row in rig.windows("one"))

    try:
        wait_for("a menu", look, 60)
    finally:
        rig.desk.button(1, press=False)
        xtest.fake_input(rig.desk.display, X.KeyRelease, control)
        rig.desk.sync()
    wait_for("the menu's end", lambda: not look(), 60)


def test_closing(rig: Guests) -> None:
    window = rig.window("one", "one-42")
    display = rig.desk.display
    from Xlib.protocol.event import ClientMessage

    target = rig.desk.window(window["local_id"])
    atoms = [display.intern_atom(name) for name in ("WM_PROTOCOLS", "WM_DELETE_WINDOW")]
    target.send_event(ClientMessage(window=target, client_type=atoms[0], data=(32, [atoms[1], 0, 0, 0, 0])))
    rig.desk.sync()
    wait_for("its end", lambda: not [row for row in rig.windows("one") if "one-42" in row["title"]], 60)


def test_two_guests_have_memory_of_their_own(rig: Guests) -> None:
    user = os.geteuid()
    regions = {name: Path(f"/dev/shm/odyssey-{user}-{name}") for name in NAMES}
    for region in regions.values():
        assert stat.S_IMODE(region.stat().st_mode) == 0o600
    for name, pid in rig.qemu_pids().items():
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert [other for other, region in regions.items() if str(region) in maps] == [name]
    assert set(rig.qemu_pids()) == set(NAMES)
    # Neither finds a mark that lies in the other one's memory, nor a second device to look in.
    with regions["two"].open("r+b") as file:
        file.seek(100 << 20)
        file.write(b"only for two")
    for name, expected in (("one", "1 False"), ("two", "1 True")):
        rig.in_guest(
            name,
            "import glob, mmap, os\n"
            "bars = [os.path.dirname(path) + '/resource2_wc' for path in glob.glob('/sys/bus/pci/devices/*/device')\n"
            "        if open(path).read().strip() == '0x1110']\n"
            "memory = mmap.mmap(os.open(bars[0], os.O_RDWR), 128 << 20)\n"
            "seen = memory[100 << 20:(100 << 20) + 12] == b'only for two'\n"
            "w = root.create_window(0, 0, 90, 90, 0, X.CopyFromParent, background_pixel=9)\n"
            "w.set_wm_name(f'seen {len(bars)} {seen}')\nw.map()\nd.sync()\nimport time\ntime.sleep(20)\n",
        )
        rig.window(name, f"seen {expected}")


def test_a_guest_that_reboots(rig: Guests) -> None:
    rig.guid("run", "one", "--", "sudo", "systemctl", "reboot")
    wait_for("its windows' end", lambda: not rig.windows("one"), 120)
    rig.wait_connected("one")
    rig.guid("run", "one", "--", "xlogo")
    rig.window("one", "xlogo")


def test_a_guest_that_others_destroy_and_start(rig: Guests) -> None:
    rig.guid("run", "two", "--", "xlogo")
    rig.window("two", "xlogo")
    rig.virsh("destroy", "two")
    wait_for("its end", lambda: rig.state("two") == "", 60)
    assert not rig.windows("two")
    assert rig.state("one") == "connected"
    rig.virsh("start", "two")
    rig.wait_connected("two")
    rig.guid("run", "two", "--", "xlogo")
    rig.window("two", "xlogo")


def test_input_and_output_are_passed_on(rig: Guests) -> None:
    data = np.random.default_rng(1).bytes(3_000_000)
    for _ in range(3):
        status, output = rig.piped("one", data, "sh", "-c", "sha256sum; exit 7")
        assert status == 7
        assert output.split()[0].decode() == hashlib.sha256(data).hexdigest()
    status, output = rig.piped("one", b"", "sh", "-c", "head -c 3000000 /dev/zero")
    assert (status, output) == (0, bytes(3_000_000))
    status, output = rig.piped("one", b"", "no-such-program")
    assert (status, output) == (1, b"")


def test_a_command_that_is_not_there(rig: Guests) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        rig.guid("run", "two", "--", "no-such-program")
    assert "no-such-program: No such file or directory" in failed.value.stderr


def test_names_and_ids_that_are_taken(rig: Guests) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        rig.guid("vm", "create", "one")
    assert "there is an AppVM 'one' already" in failed.value.stderr
    with pytest.raises(subprocess.CalledProcessError) as failed:
        rig.guid("vm", "create", "three", "--domid", "1")
    assert "domain id 1 is that of 'one'" in failed.value.stderr
