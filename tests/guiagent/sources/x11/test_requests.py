"""The packed requests are byte for byte what python-xlib makes of the same arguments."""

from typing import Any

import pytest
from Xlib import X
from Xlib.ext import damage, shape, xfixes, xtest
from Xlib.protocol import event, request

from guiagent.sources.x11 import requests


class _Recorder:
    """Takes the place of python-xlib's display and keeps what would have been sent."""

    def __init__(self) -> None:
        self.sent = b""

    def send_request(self, made: Any, wait: bool) -> None:
        del wait
        self.sent = made._binary


def _theirs(kind: Any, **arguments: Any) -> bytes:
    recorder = _Recorder()
    kind(display=recorder, **arguments)
    return recorder.sent


WINDOW, OTHER, GC = 0x400007, 0x600001, 0x200003


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (requests.map_window(WINDOW), _theirs(request.MapWindow, window=WINDOW)),
        (requests.unmap_window(WINDOW), _theirs(request.UnmapWindow, window=WINDOW)),
        (requests.free_pixmap(WINDOW), _theirs(request.FreePixmap, pixmap=WINDOW)),
        (requests.kill_client(WINDOW), _theirs(request.KillClient, resource=WINDOW)),
        (
            requests.select_events(WINDOW, X.PropertyChangeMask),
            _theirs(request.ChangeWindowAttributes, window=WINDOW, event_mask=X.PropertyChangeMask),
        ),
        (
            requests.configure_window(WINDOW, x=-5, y=70000 - 65536, width=3, height=4),
            _theirs(request.ConfigureWindow, window=WINDOW, x=-5, y=70000 - 65536, width=3, height=4),
        ),
        (
            requests.configure_window(WINDOW, stack_mode=X.Below, border_width=0, sibling=OTHER),
            _theirs(request.ConfigureWindow, window=WINDOW, stack_mode=X.Below, border_width=0, sibling=OTHER),
        ),
        (
            requests.set_input_focus(WINDOW),
            _theirs(request.SetInputFocus, revert_to=X.NONE, focus=WINDOW, time=X.CurrentTime),
        ),
        (
            requests.copy_areas(WINDOW, OTHER, GC, [(1, 2, 3, 4), (5, 6, 7, 8)]),
            b"".join(
                _theirs(
                    request.CopyArea, src_drawable=WINDOW, dst_drawable=OTHER, gc=GC,
                    src_x=x, src_y=y, dst_x=x, dst_y=y, width=w, height=h,
                )
                for x, y, w, h in [(1, 2, 3, 4), (5, 6, 7, 8)]
            ),
        ),
        (
            requests.client_message(WINDOW, 300, 301, 0),
            _theirs(
                request.SendEvent, propagate=False, destination=WINDOW, event_mask=0,
                event=event.ClientMessage(window=WINDOW, client_type=300, data=(32, [301, 0, 0, 0, 0])),
            ),
        ),
        (
            requests.fill_rectangle(WINDOW, GC, 300, 200),
            _theirs(
                request.PolyFillRectangle, drawable=WINDOW, gc=GC,
                rectangles=[{"x": 0, "y": 0, "width": 300, "height": 200}],
            ),
        ),
        (
            requests.select_shape_input(129, WINDOW),
            _theirs(shape.SelectInput, opcode=129, destination_window=WINDOW, enable=True),
        ),
        (
            requests.Damage(140).create(OTHER, WINDOW),
            _theirs(
                damage.DamageCreate, opcode=140, damage=OTHER, drawable=WINDOW,
                level=damage.DamageReportDeltaRectangles,
            ),
        ),
        (
            requests.Damage(140).subtract(OTHER),
            _theirs(damage.DamageSubtract, opcode=140, damage=OTHER, repair=X.NONE, parts=X.NONE),
        ),
        (requests.Damage(140).destroy(OTHER), _theirs(damage.DamageDestroy, opcode=140, damage=OTHER)),
        (
            requests.FakeInput(130).event(X.KeyPress, 38),
            _theirs(
                xtest.FakeInput, opcode=130, event_type=X.KeyPress, detail=38, time=X.CurrentTime, root=X.NONE, x=0, y=0
            ),
        ),
        (
            requests.FakeInput(130).motion(WINDOW, -3, 900),
            _theirs(
                xtest.FakeInput, opcode=130, event_type=X.MotionNotify, detail=0, time=X.CurrentTime, root=WINDOW,
                x=-3, y=900,
            ),
        ),
        (
            requests.select_cursor_input(135, WINDOW),
            _theirs(
                xfixes.SelectCursorInput, opcode=135, window=WINDOW,
                mask=xfixes.XFixesDisplayCursorNotifyMask,
            ),
        ),
    ],
    ids=range(18),
)  # fmt: skip
def test_bytes(ours: bytes, theirs: bytes) -> None:
    assert ours == theirs
