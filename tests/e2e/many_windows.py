"""Runs inside an AppVM, alone: ten windows, most of which never rest. Argument: number of the VM, 0 to 2.

In its home it writes `starts` (a line for each start), `keys` (keycodes, as they arrive) and, while there is a file
`pause` and nothing is repainted, `sums`: JSON, the SHA-256 of every window's pixels by title.
"""

import hashlib
import json
import os
import random
import sys
import time
from typing import Any

from Xlib import X, display
from Xlib.protocol import event

number = int(sys.argv[1])
d: Any = display.Display()
screen = d.screen()
root = screen.root
dice = random.Random(number)
windows: dict[str, Any] = {}


def window(title: str, x: int, y: int, width: int, height: int, **attributes: Any) -> Any:
    attributes.setdefault("background_pixel", dice.randrange(1 << 24))
    made = root.create_window(x, y, width, height, 0, screen.root_depth, **attributes)
    made.set_wm_name(title)
    windows[title] = made
    return made


if number == 1:
    full = window("full", 0, 0, 400, 300)
    full.change_property(d.intern_atom("_NET_WM_STATE"), 4, 32, [d.intern_atom("_NET_WM_STATE_FULLSCREEN")])
    full.map()
left, top = 40 + 520 * number, 60
for index in range(7):
    window(f"busy {index}", left + 170 * (index % 3), top + 110 * (index // 3), 150, 90).map()
keys = window("keys", left, top + 350, 150, 90, event_mask=X.KeyPressMask)
keys.map()
window("menu", left + 170, top + 350, 90, 120, override_redirect=True).map()
if number == 0:
    icon = window("icon", 0, 0, 24, 24, background_pixel=0xFFFFFF)  # a label's tint leaves white as it is
    icon.change_property(d.intern_atom("_XEMBED_INFO"), d.intern_atom("_XEMBED_INFO"), 32, [0, 1])
    tray = d.get_selection_owner(d.intern_atom("_NET_SYSTEM_TRAY_S0"))
    words = [X.CurrentTime, 0, icon.id, 0, 0]
    tray.send_event(
        event.ClientMessage(window=tray, client_type=d.intern_atom("_NET_SYSTEM_TRAY_OPCODE"), data=(32, words))
    )
elif number == 2:
    window("plain", left, top + 480, 150, 90).map()
d.sync()
gc = keys.create_gc()


def put(path: str, text: str) -> None:
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def contents(one: Any) -> str:
    size = one.get_geometry()
    data = bytearray(one.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF).data)
    data[3::4] = bytes(len(data) // 4)
    return hashlib.sha256(data).hexdigest()


os.chdir(os.environ["HOME"])
with open("starts", "a") as file:
    file.write("start\n")
log = open("keys", "a", buffering=1)  # noqa: SIM115 - for as long as we live
while True:
    for _ in range(d.pending_events()):
        said = d.next_event()
        if said.type == X.KeyPress:
            log.write(f"{said.detail}\n")
    if os.path.exists("pause"):
        if not os.path.exists("sums"):
            d.sync()
            put("sums", json.dumps({title: contents(one) for title, one in windows.items()}))
    else:
        for index in range(7):
            one = windows[f"busy {index}"]
            gc.change(foreground=dice.randrange(1 << 24))
            one.fill_rectangle(gc, dice.randrange(150), dice.randrange(90), 40, 40)
        d.sync()
    time.sleep(0.01)
