"""Agents that name frames instead of references: shown where the backend maps those, refused elsewhere."""

import hashlib
import threading
from pathlib import Path

from tests import old_agent
from tests.conformance import frames, third_party
from tests.e2e.rig import Rig, wait_for


def start_agent(rig: Rig) -> bytes:
    """One in this process; its pixels."""
    environ = {name: rig.environ[name] for name in ("PAGES_DIR", "VCHAN_SOCKET_DIR")}
    backend = frames.factory(environ)
    sharer = backend.sharer(rig.domid, 0)
    pages = sharer.allocate(old_agent.PAGES * 4096)
    pixels = old_agent.noise()
    with pages.region.view(writable=True) as view:
        at = pages.offset + old_agent.OFFSET
        view[at : at + len(pixels)] = pixels
    threading.Thread(
        target=old_agent.show,
        args=(lambda: backend.server(rig.domid, 0, 6000), "old", pages.refs.tolist()),
        daemon=True,
    ).start()
    return pixels


def test_an_old_agents_window_is_shown(tmp_path: Path) -> None:
    with Rig(tmp_path, backend=f"{frames.__name__}:factory") as rig:
        pixels = start_agent(rig)
        rig.start_daemon()
        row = rig.wait_window("old")
        digest = hashlib.sha256(pixels).hexdigest()
        wait_for("equal pixels", lambda: hashlib.sha256(rig.content(row).astype("<u4").tobytes()).hexdigest() == digest)


def test_a_backend_without_frames_refuses(tmp_path: Path) -> None:
    with Rig(tmp_path, backend=f"{third_party.__name__}:factory") as rig:
        start_agent(rig)
        rig.start_daemon()
        wait_for(
            "the session's end", lambda: "session ended: MFNDUMP: this backend maps no frame numbers" in rig.log("guid")
        )
