"""Descriptions of VMs survive their trip through JSON, and nonsense is refused with the reason."""

import dataclasses
import json

import pytest

from guid.config.labels import LABELS, label
from guid.spec import ViewSpec, VmSpec
from guiproto.errors import MachineCannot


def test_json_and_back() -> None:
    spec = VmSpec(
        "work",
        7,
        "blue",
        view=ViewSpec(display=":3", chosen={"border_width": 5}),
        environ={"A": "b"},
        python_path=("/x",),
    )
    assert VmSpec.from_json(json.loads(spec.to_json())) == spec


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "x" * 32}, {"name": "a\nb"}, {"name": "ä"}, {"domid": -1}, {"domid": 65536}]
)
def test_bad_vms_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(MachineCannot):
        dataclasses.replace(VmSpec("work", 7, "blue"), **change)  # type: ignore[arg-type] # wrong values are the point


@pytest.mark.parametrize("data", [{}, {"name": "x"}, {"name": "x", "domid": 1, "label": "red", "more": 1}])
def test_incomplete_descriptions_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(MachineCannot, match="no VM description"):
        VmSpec.from_json(data)


@pytest.mark.parametrize("width", [0, 65])
def test_borders_that_are_none_are_refused(width: int) -> None:
    with pytest.raises(MachineCannot):
        ViewSpec(chosen={"border_width": width})


def test_labels_by_name_and_by_colour() -> None:
    assert label("red") == LABELS["red"]
    assert label("0x10FF00").color == label("#10ff00").color == 0x10FF00
    for wrong in ("pink", "0x12345", "#1234567", ""):
        with pytest.raises(MachineCannot, match="unknown label"):
            label(wrong)
