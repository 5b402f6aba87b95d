"""Settings are checked where they enter, with an error that says what to do."""

import dataclasses
from typing import Any

import pytest

from guid.config.settings import ABOUT, VmSettings
from guid.spec import VmSpec
from guid.worker.process import configs
from guiproto.errors import MachineCannot


def test_every_setting_says_what_it_is_and_accepts_its_default() -> None:
    VmSettings()
    assert all(ABOUT.values())
    assert list(ABOUT) == [field.name for field in dataclasses.fields(VmSettings)]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("border_width", 0, r"border_width is 0 \(choose 1 to 64\)"),
        ("border_width", True, r"border_width is True \(it must be a number\)"),
        ("border", "none", r"border is 'none' \(choose all or override-redirect\)"),
        ("window_background_color", "red", r"color is 'red' \(write six hexadecimal digits"),
        ("window_background_color", "#12345", r"write six hexadecimal digits"),
        ("scale", 5, r"scale is 5 \(choose 1 to 4\)"),
        ("keyboard_layout", "de -print", r"keyboard_layout is 'de -print' \(its layout .* choose desktop, nothing, or"),
        ("title_prefix", "yes", r"it must be true or false"),
        ("secure_copy_sequence", "Ctrl-Shift", r"'Ctrl-Shift' \(there is no key called 'Shift'"),
        ("secure_copy_sequence", "ctrl-c", r"'ctrl-c' \(write Shift-, Ctrl-, .* as in Ctrl-Shift-c\)"),
        ("secure_paste_sequence", "Ctrl-blah", r"there is no key called 'blah'; xev shows"),
        ("max_clipboard_size", 255, r"choose 256 to 256000"),
        ("max_clipboard_size", 256001, r"choose 256 to 256000"),
        ("max_windows", 9, r"choose 10 to 20000"),
        ("max_window_memory", 15, r"choose 16 to 65536"),
        ("max_tray_icons", -1, r"choose 0 to 256"),
        ("max_tray_icons", 257, r"choose 0 to 256"),
        ("max_message_rate", 999, r"choose 1000 to 10000000"),
        ("max_message_rate", 5e4, r"it must be a number"),
        ("border_widht", 3, r"no setting 'border_widht' \(did you mean 'border_width'\?\)"),
        ("xyzzy", 3, r"no setting 'xyzzy' \(there are: border_width, "),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(name: str, value: Any, problem: str) -> None:
    with pytest.raises(MachineCannot, match=problem):
        VmSettings().but({name: value})


def test_changes_leave_the_rest_alone() -> None:
    assert VmSettings().but({"border_width": 9}) == dataclasses.replace(VmSettings(), border_width=9)


@pytest.mark.parametrize("color", ["#0A0b0C", "0x0a0B0c"])
def test_colors_are_numbers(color: str) -> None:
    assert VmSettings(window_background_color=color).background_rgb == 0x0A0B0C


OTHERS = {
    "border_width": 9, "border": "override-redirect", "override_redirect": "disabled", "trayicon_mode": "border2",
    "secure_copy_sequence": "none", "secure_paste_sequence": "none", "max_clipboard_size": 300,
    "keyboard_layout": "de", "window_background_color": "#123456", "screensaver_names": "slock", "scale": 2,
    "window_icons": "label", "max_windows": 10, "max_window_memory": 16, "max_tray_icons": 0, "max_message_rate": 1000,
}  # fmt: skip
"""A value besides the default, of all settings but those that are yes or no."""
OF_OTHERS = {"notifications", "keyboard_layout", "follow_screen", "window_icons"}
"""What neither session nor display have to know; shown by tests/e2e/test_notifications.py, tests/e2e/test_icons.py and
tests/guid/supervisor/test_desktops.py."""


@pytest.mark.parametrize("field", dataclasses.fields(VmSettings), ids=lambda field: field.name)
def test_no_setting_is_without_effect(field: dataclasses.Field[Any]) -> None:
    changed = VmSettings().but({field.name: OTHERS.get(field.name, not field.default)})
    before, after = (configs(VmSpec("work", 7, "blue", settings=settings)) for settings in (VmSettings(), changed))
    assert (before != after) is (field.name not in OF_OTHERS)
