"""Runs inside an AppVM, alone: a window that has copied something, and pastes when it is typed into.

Arguments: its name, x, y, and how many bytes it has copied (0: none, and it leaves the clipboard alone). Its title is
"NAME keys=CODES pasted=TEXT": the keycodes that it heard, and how long and what the text was that it last pasted, which
it does when a key goes down that is no modifier. It gives and takes long text in parts.
"""

import hashlib
import sys
from typing import Any

from Xlib import X, display
from Xlib.protocol import event

PART = 50_000
name, x, y, size = sys.argv[1], *(int(word) for word in sys.argv[2:5])
d: Any = display.Display()
screen = d.screen()
window = screen.root.create_window(
    x, y, 220, 120, 0, screen.root_depth, background_pixel=0x88AA66 if size else 0xAA8866,
    event_mask=X.KeyPressMask | X.PropertyChangeMask,
)  # fmt: skip
CLIPBOARD, UTF8, TARGETS, INCR, PLACE = (
    d.intern_atom(name) for name in ("CLIPBOARD", "UTF8_STRING", "TARGETS", "INCR", "PLACE")
)
modifiers = {code for row in d.get_modifier_mapping() for code in row}
text = (
    "".join(f"{at:04x}\u00e9\n" for at in range(size))
    .encode()[:size]
    .decode(errors="ignore")
    .encode()
    .ljust(size, b"x")
)
keys: list[int] = []
pasted = ""
parts: bytearray | None = None
giving: dict[tuple[int, int], bytes] = {}


def show() -> None:
    window.set_wm_name(f"{name} keys={','.join(map(str, keys[-6:]))} pasted={pasted}")


def describe(data: bytes) -> str:
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:12]}"


def give(request: Any) -> None:
    requestor, place = request.requestor, request.property
    if request.target == TARGETS:
        requestor.change_property(place, 4, 32, [TARGETS, UTF8])
    elif request.target == UTF8 and len(text) > PART:
        requestor.change_attributes(event_mask=X.PropertyChangeMask)
        giving[requestor.id, place] = text
        requestor.change_property(place, INCR, 32, [len(text)])
    elif request.target == UTF8:
        requestor.change_property(place, UTF8, 8, text)
    else:
        place = X.NONE
    requestor.send_event(
        event.SelectionNotify(
            time=request.time, requestor=requestor, selection=request.selection, target=request.target, property=place
        )
    )


def go_on(said: Any) -> None:
    global parts, pasted
    key = said.window.id, said.atom
    if said.state == X.PropertyDelete and key in giving:
        part, giving[key] = giving[key][:PART], giving[key][PART:]
        said.window.change_property(said.atom, UTF8, 8, part)
        if not part:
            del giving[key]
    elif said.state == X.PropertyNewValue and said.atom == PLACE and said.window.id == window.id and parts is not None:
        part = bytes(window.get_property(PLACE, X.AnyPropertyType, 0, 1 << 20, delete=True).value)
        parts += part
        if not part:
            pasted, parts = describe(bytes(parts)), None
            show()


def take(said: Any) -> None:
    global parts, pasted
    found = None
    if said.property:
        found = window.get_property(PLACE, X.AnyPropertyType, 0, 1 << 20, delete=True)
    if found is not None and found.property_type == INCR:
        parts = bytearray()
        return
    pasted = describe(b"" if found is None else bytes(found.value))
    show()


if size:
    window.set_selection_owner(CLIPBOARD, X.CurrentTime)
    pasted = describe(text)
show()
window.map()
while True:
    said = d.next_event()
    if said.type == X.KeyPress:
        if said.detail not in modifiers:
            keys.append(said.detail)
            pasted = "wait"
            show()
            window.convert_selection(CLIPBOARD, UTF8, PLACE, X.CurrentTime)
    elif said.type == X.SelectionRequest:
        give(said)
    elif said.type == X.SelectionNotify:
        take(said)
    elif said.type == X.PropertyNotify:
        go_on(said)
