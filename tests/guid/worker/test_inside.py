"""A worker inside an AppVM learns what it is to show, and what has changed before it could listen."""

import dataclasses

import pytest

from guid.config.settings import VmSettings
from guid.spec import VmSpec
from guid.worker.inside import described
from guiproto.errors import MachineCannot


def test_settings_that_changed_meanwhile_count() -> None:
    spec = VmSpec("work", 7, "red")
    first = {"vm": dataclasses.asdict(spec)}
    changed = VmSettings(border_width=9)
    assert described([first]) == spec
    told = {"op": "settings", "settings": dataclasses.asdict(changed)}
    assert described([first, {"op": "shown"}, told]) == dataclasses.replace(spec, settings=changed)


def test_what_is_no_description_is_refused() -> None:
    with pytest.raises(MachineCannot, match="no VM description"):
        described([{"vm": {"nam": "work"}}])
