"""A real guest's windows move from one display of this machine to another and back, while its programs run on."""

import numpy as np
import pytest

from tests.e2e.rig import Pixels, Screen, wait_for
from tests.kvm.rig import Guests, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no virtual machines here: {why_not()}"),
    pytest.mark.timeout(1200),
]

TITLE = "it stays"


def _content(rig: Guests, screen: Screen) -> Pixels:
    window = rig.window("one", TITLE)
    return screen.pixels(window["x"], window["y"], window["width"], window["height"])


def test_there_and_back(rig: Guests) -> None:
    rig.guid("run", "one", "--", "xlogo", "-title", TITLE, "-geometry", "200x150+300+200")
    wait_for("its picture", lambda: len(np.unique(_content(rig, rig.desk))) > 1, 60)
    before, local = _content(rig, rig.desk), rig.window("one", TITLE)["local_id"]
    assert "wall shows one" in rig.guid("swap", "one", "--to", "wall")
    assert (_content(rig, rig.wall) == before).all()
    assert local not in [child.id for child in rig.desk.root.query_tree().children]
    assert rig.ps()["one"]["gui_domain"] == "wall"
    assert rig.ps()["two"]["gui_domain"] == "dom0", "nobody else has moved"
    assert "dom0 shows one" in rig.guid("swap", "one", "--to", "dom0")
    assert (_content(rig, rig.desk) == before).all()
    assert not rig.wall.root.query_tree().children
    rig.in_guest(
        "one",
        f"next(w for w in root.query_tree().children if w.get_wm_name() == {TITLE!r}).set_wm_name('still there')\n"
        "d.sync()\n",
    )
    rig.window("one", "still there")
