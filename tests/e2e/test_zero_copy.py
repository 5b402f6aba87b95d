"""Pixels travel neither on the vchan nor through the daemon or the agent: counted, not claimed."""

from functools import partial
from pathlib import Path

from tests.e2e.relay import Relay
from tests.e2e.rig import Rig, wait_for

WIDTH, HEIGHT = 1920, 1080
FRAMES = 100


def test_a_hundred_full_hd_frames_cost_a_few_kilobytes_of_messages(tmp_path: Path) -> None:
    daemon_dir = tmp_path / "daemon-vchan"
    daemon_dir.mkdir(mode=0o700)
    x_sockets = Path("/tmp/.X11-unix")
    with Rig(tmp_path, guest_size=(2048, 1200)) as rig:
        numbers = [int(screen.name.removeprefix(":")) for screen in (rig.guest, rig.desk)]
        relayed = [number + 5000 for number in numbers]
        vchan = tmp_path / "vchan"
        with (
            Relay(daemon_dir / "vchan.7.0.6000.sock", vchan / "vchan.7.0.6000.sock") as wire,
            Relay(x_sockets / f"X{relayed[0]}", x_sockets / f"X{numbers[0]}") as guest_x,
            Relay(x_sockets / f"X{relayed[1]}", x_sockets / f"X{numbers[1]}") as desk_x,
        ):
            agent = rig.start_agent("--display", f":{relayed[0]}")
            wait_for("the agent to listen", lambda: (vchan / "vchan.7.0.6000.sock").exists())
            (daemon_dir / "pages.7.0.sock").hardlink_to(vchan / "pages.7.0.sock")
            rig.environ["VCHAN_SOCKET_DIR"] = str(daemon_dir)
            rig.start_daemon("--display", f":{relayed[1]}")
            window = rig.guest.root.create_window(20, 20, WIDTH, HEIGHT, 0, 24, background_pixel=0x123456)
            window.set_wm_name("frames")
            window.map()
            rig.guest.sync()
            row = rig.wait_window("frames")
            wait_for("the first frame", lambda: rig.same_pixels(row["remote_id"]))
            worker = rig.vm()["worker_pid"]
            before = wire.bytes, guest_x.bytes, desk_x.bytes, _read_and_written(agent.pid), _read_and_written(worker)
            gc = window.create_gc()
            for frame in range(FRAMES):
                color = 0x010203 * (frame % 80) + 0x404040
                gc.change(foreground=color)
                window.fill_rectangle(gc, 0, 0, WIDTH, HEIGHT)
                rig.guest.sync()
                wait_for("the frame", partial(_shows, rig, color))
            assert rig.same_pixels(row["remote_id"])
            after = wire.bytes, guest_x.bytes, desk_x.bytes, _read_and_written(agent.pid), _read_and_written(worker)
        spent = [b - a for a, b in zip(before, after, strict=True)]
        frame_bytes = WIDTH * HEIGHT * 4
        # One frame alone has 8 MB. Everything together that moved for a hundred of them is less than a tenth of one.
        assert sum(spent) < frame_bytes // 10, spent
        assert FRAMES * 28 <= spent[0] < FRAMES * 28 * 4
        assert desk_x.descriptors >= 1


def _shows(rig: Rig, color: int) -> bool:
    return bool(rig.desk.pixels(700, 500, 1, 1)[0, 0] == color)


def _read_and_written(pid: int) -> int:
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["rchar"]) + int(fields["wchar"])
