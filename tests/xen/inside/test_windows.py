"""What a user in dom0 sees and does: windows of real domUs on dom0's X server, through the commands that users type."""

import hashlib
import re
import subprocess

import numpy as np
import pytest

from backends.base import PeerMisbehaved, VchanState
from backends.conformance import waiting
from backends.conformance.pages import seen, write
from backends.conformance.waiting import wait_for_state
from backends.xen import factory
from tests.e2e.rig import wait_for
from tests.xen.inside.conftest import BOOT_SECONDS, Guests
from tests.xen.inside.desk import GUID, PATIENCE, Desk


def test_doctor_knows_that_this_is_dom0(desk: Desk) -> None:
    said = subprocess.run([*GUID, "doctor"], env=desk.environ, capture_output=True, text=True, check=False).stdout
    section = said.split("xen", 1)[1]
    assert "dom0" in section
    assert "copied once" in section
    assert "dma-bufs here: Inappropriate ioctl for device" in section, "Debian's kernel was built without"
    assert "It may grant 1,024 pages" in section, "the kernel's limit, which nothing in dom0 raises"


def test_typed_text_reaches_a_shell_in_a_domu(desk: Desk) -> None:
    window = desk.window("one", "shell")
    assert window["copies_per_frame"] - (window["guest_copies"] or 0) == 1, "an X server cannot attach grants"
    assert int(desk.screen.pixels(window["x"] - 1, window["y"] + 5, 1, 1)[0, 0]) == 0x3465A4, "the border is blue"
    desk.screen.focus(window["local_id"])
    desk.type("printf '\\033]0;%s-%s\\007' $(hostname) $((6*7))\n")
    desk.window("one", "one-42")


def test_a_windows_icon_crosses(desk: Desk) -> None:
    """xterm has one of 48 x 48; the label's begins with one of 16 x 16."""
    window = desk.screen.window(desk.window("one", "one-42")["local_id"])
    name = desk.screen.display.intern_atom("_NET_WM_ICON")

    def look() -> bool:
        found = window.get_full_property(name, 0)
        return found is not None and list(found.value[:2]) == [48, 48]

    wait_for("xterm's icon", look, PATIENCE)


def test_pixels_are_those_of_the_domus_own_window(desk: Desk) -> None:
    window = desk.window("one", "sum ")
    title = re.search(r"sum ([0-9a-f]{64})", window["title"])
    assert title is not None

    def look() -> bool:
        shown = desk.screen.pixels(window["x"], window["y"], window["width"], window["height"])
        return len(np.unique(shown)) > 1000 and hashlib.sha256(shown.astype("<u4").tobytes()).hexdigest() == title[1]

    wait_for("equal pixels", look, 20)


def test_an_agent_that_is_killed_comes_back(desk: Desk) -> None:
    window = desk.window("one", "one-42")
    desk.screen.focus(window["local_id"])
    before = desk.screen.root.query_tree().children
    desk.type("pkill guiagent\n")

    def come_back() -> bool:
        return desk.screen.root.query_tree().children != before and desk.state("one") == "connected"

    wait_for("new windows", come_back, PATIENCE)
    desk.window("one", "sum ")


def test_one_domus_grants_are_nothing_to_another(guests: Guests) -> None:
    backend = factory({})
    with guests.far("one") as far:
        sharer = far.sharer(guests.domid("one"), 0)()
        pages = sharer.allocate(4096)
        mine, others = backend.mapper(0, guests.domid("one")), backend.mapper(0, guests.domid("two"))
        mine.map(pages.refs).release()
        # The same numbers of the other domain are its own affair: an error, or its own pages.
        try:
            mapped = others.map(pages.refs)
        except PeerMisbehaved:
            pass
        else:
            mapped.release()
        mine.close()
        others.close()
        sharer.close()


def test_a_domu_that_is_destroyed_and_started_again(desk: Desk, guests: Guests) -> None:
    desk.window("one", "busy")
    guests.driver.stop("one", 0.0)
    wait_for("its windows to go", lambda: not [row for row in desk.json("windows") if row["vm"] == "one"], PATIENCE)
    assert desk.state("two") == "connected", "nobody else noticed"
    guests.start("one")
    wait_for("its agent", lambda: desk.state("one") == "connected", BOOT_SECONDS)
    desk.window("one", "busy")


def test_a_domu_that_is_destroyed_while_it_is_used(desk: Desk, guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    """It paints. Its vchan says by itself that it is gone; what was mapped stays what it was, until it is released."""
    monkeypatch.setattr(waiting, "DEADLINE", PATIENCE)
    desk.window("two", "busy")
    domid, here = guests.domid("two"), factory({})
    with guests.far("two") as far:
        server = far.server(domid, 0, 7400)()
        client = here.client(0, domid, 7400)
        wait_for_state(VchanState.CONNECTED, server, client)
        sharer = far.sharer(domid, 0)()
        pages = sharer.allocate(1 << 20)
        write(sharer, pages, b"still here")
        mapper = here.mapper(0, domid)
        mapped = mapper.map(pages.refs)
        assert seen(mapped)[:10] == b"still here"
        guests.driver.stop("two", 0.0)
        wait_for_state(VchanState.DISCONNECTED, client)  # looks only when its descriptor polls readable
        assert client.read(10) == b""
        assert client.write(b"anybody there?") == 0
        client.close()
        assert seen(mapped)[:10] == b"still here"
        assert len(seen(mapped)) == 1 << 20
        mapper.close()
        mapped.release()
    wait_for("its windows to go", lambda: not [row for row in desk.json("windows") if row["vm"] == "two"], PATIENCE)
    assert desk.state("one") == "connected", "nobody else noticed"
