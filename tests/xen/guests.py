"""The disks of the AppVMs that dom0 starts, made on the machine that emulates it all."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Final

from backends.machines.debian import Tell, run
from backends.machines.disks import agent_disk
from backends.machines.image import image
from backends.xen.domains import GUEST

_PROJECT: Final = Path(__file__).resolve().parents[2]
# The AppVM's own initrd and init take minutes where a Xen is emulated. This does what of theirs the session needs.
_INIT: Final = b"""#!/bin/sh
mkdir -p /proc /sys /dev /root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/hvc0 >/dev/hvc0 2>&1
modprobe xen-blkfront
while ! [ -e /dev/xvda ] || ! [ -e /dev/xvdb ]; do sleep 0.1; done
mount -t ext4 -o rw /dev/xvda /root
for name in proc sys dev; do mount -o move /$name /root/$name; done
exec run-init /root /bin/sh -c '
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin
  mkdir -p /dev/pts /dev/shm
  mount -t devpts p /dev/pts
  mount -t tmpfs s /dev/shm
  mount -t tmpfs r /run
  mount -t tmpfs -o mode=1777 t /tmp
  mount -o ro /dev/xvdb /opt/odyssey-gui
  PYTHONPATH=/opt/odyssey-gui exec python3 -s -m backends.machines.guest'
"""
# Besides what is looked at, an end of vchans and pages for the checks, and root's shell.
_COMMAND: Final = """
export PYTHONPATH=/opt/odyssey-gui
python3 -m backends.conformance.bridge server xen 0 0 7999 python3 -m backends.conformance.far_end xen &
sudo env PYTHONPATH=$PYTHONPATH python3 -m backends.conformance.bridge server xen 0 0 7998 sh &
unset PYTHONPATH
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
    time.sleep(0.5)
"""


def disks(results: Path, tell: Tell) -> list[Path]:
    """Disk and agent's disk of each guest, in dom0's order; kernel and initrd are put into `results`/boot."""
    made = image(GUEST, (), tell)
    boot = results / "boot"
    boot.mkdir(exist_ok=True)
    shutil.copy(made.kernel, boot / "vmlinuz")
    (boot / "initrd.img").write_bytes(_archive("quick-init", _INIT) + made.initrd.read_bytes())
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


def cache_disk(results: Path, tell: Tell) -> Path:
    """A disk with the cache that `guid vm create` looks into, and the image in it: dom0 has no network to make one."""
    made = image(GUEST, (), tell).disk.parent
    disk = results / "cache.img"
    with tempfile.TemporaryDirectory(dir=made.parent) as name:  # beside the image, so that nothing is copied twice
        place = Path(name) / "images" / made.name
        place.mkdir(parents=True)
        for file in made.iterdir():
            (place / file.name).hardlink_to(file)
        run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", name, str(disk), "3G"], "mke2fs")
    return disk


def _archive(name: str, script: bytes) -> bytes:
    """A cpio archive, as the kernel takes them before an initrd, with one executable file."""
    parts = []
    for path, mode, data in ((name, 0o100755, script), ("TRAILER!!!", 0, b"")):
        fields = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + path.encode() + b"\0"
        parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]
    archive = b"".join(parts)
    return archive + bytes(-len(archive) % 512)
