"""A backend of one file that the project does not know carries windows as well, by `--backend module:factory` alone."""

from pathlib import Path

from tests.e2e.rig import Rig, wait_for


def test_a_backend_that_maps_references_in_another_way_shows_windows(tmp_path: Path) -> None:
    with Rig(tmp_path, backend="tests.conformance.third_party:factory") as rig:
        rig.start_agent()
        rig.start_daemon()
        rig.start_app("xclock", "-name", "clock")
        row = rig.wait_window("clock")
        wait_for("equal pixels", lambda: rig.same_pixels(row["remote_id"]))
        assert (tmp_path / "pages" / f"pages.{rig.domid}").exists()
        assert rig.vm()["backend"] == "tests.conformance.third_party:factory"
