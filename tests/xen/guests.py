"""The disks of the AppVMs that dom0 starts, made on the machine that emulates it all."""

import json
import shutil
from pathlib import Path
from typing import Final

from backends.machines.debian import Tell
from backends.machines.disks import agent_disk
from backends.machines.image import image
from backends.xen.domains import GUEST

_PROJECT: Final = Path(__file__).resolve().parents[2]
# Besides what is looked at, an end of vchans and pages for the checks.
_COMMAND: Final = """
PYTHONPATH=/opt/odyssey-gui python3 -m backends.conformance.bridge server xen 0 0 7999 \
  python3 -m backends.conformance.far_end xen &
xterm -T shell -geometry 60x10+100+$TOP -e sh &
python3 -c "$DRAW" &
exec sleep infinity
"""
# A window of noise that says in its title what it contains, and one that never rests.
_DRAW: Final = """
import hashlib, itertools, os, time
from Xlib import X, display
d = display.Display()
screen = d.screen()
def window(x, y, width, height, title):
    made = screen.root.create_window(x, y, width, height, 0, screen.root_depth, event_mask=X.ExposureMask)
    made.set_wm_name(title)
    made.map()
    while d.next_event().type != X.Expose:
        pass
    return made
top = int(os.environ["TOP"])
noise = window(600, top, 200, 150, "noise")
gc = noise.create_gc()
data = bytearray(os.urandom(200 * 150 * 4))
data[3::4] = bytes(200 * 150)
for row in range(150):
    noise.put_image(gc, 0, row, 200, 1, X.ZPixmap, screen.root_depth, 0, bytes(data[800 * row:800 * row + 800]))
noise.set_wm_name("sum " + hashlib.sha256(data).hexdigest())
busy = window(600, top + 180, 300, 200, "busy")
for color in itertools.count():
    gc.change(foreground=color * 0x10305 & 0xffffff)
    busy.fill_rectangle(gc, 0, 0, 300, 200)
    d.sync()
    time.sleep(0.1)
"""


def disks(results: Path, tell: Tell) -> list[Path]:
    """Disk and agent's disk of each guest, in dom0's order; kernel and initrd are put into `results`/boot."""
    made = image(GUEST, (), tell)
    boot = results / "boot"
    boot.mkdir(exist_ok=True)
    shutil.copy(made.kernel, boot / "vmlinuz")
    shutil.copy(made.initrd, boot / "initrd.img")
    found = []
    for name, top in (("one", 60), ("two", 540)):
        config = {
            "name": name, "domid": 0, "gui_domid": 0, "screen": [1280, 1000], "backend": "xen",
            "guest": "backends.xen.guest", "command": ["env", f"DRAW={_DRAW}", f"TOP={top}", "sh", "-c", _COMMAND],
        }  # fmt: skip
        agent = results / f"agent-{name}.img"
        agent_disk(agent, _PROJECT, json.dumps(config))
        found += [made.disk, agent]
    return found
