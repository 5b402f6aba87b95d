"""What the user decides about a VM's session, and what a session may cost at most."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from guid.core.key_sequence import KeySequence
from guid.core.trusted import Label
from guiproto.limits import CLIPBOARD_DEFAULT

MIB: Final = 1 << 20


class Limit(StrEnum):
    """The quotas that the user sets, by the names of the settings."""

    WINDOWS = "max_windows"
    WINDOW_MEMORY = "max_window_memory"
    TRAY_ICONS = "max_tray_icons"
    MESSAGE_RATE = "max_message_rate"


@dataclass(frozen=True, slots=True)
class Quotas:
    """Bounds on what one VM makes the GUI domain hold and do. What is beyond is refused, and the user is told once.

    A program that runs wild must not take its VM's other windows with it, so the first step past a quota never ends
    the session; only `refused`, which would cost memory in the daemon, does.
    """

    windows: int = 2000
    """Windows at a time. Toolkits keep every menu and tooltip they ever showed as an unmapped window, so hundreds are
    normal after a day's work; ten times that is a program gone wild."""
    tray_icons: int = 32
    """Icons in the notification area: panels give each the same room, and most VMs have none."""
    messages: int = 50_000
    """Messages a second. More are read later; see `guid.worker.throttle` for what counts how much.

    A program that draws one small thing after the other makes an agent send a tenth of that.
    """
    refused: int = 65536
    """Ids of refused windows that are remembered, so that what is said about them later is no violation."""
    icon: int = 256
    """Longest side of an icon in the notification area, in pixels: such are copied to be shown."""
    pages: int = 1 << 19
    """Pages of all window buffers together: 2 GiB, or 64 windows that fill a 4K screen each."""
    page_weight: int = 1
    """As how many a page of a buffer counts: more than one where the display server keeps a copy of it."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """One VM's policy. `label` is not used by the session itself: it is kept here for who reports about windows."""

    label: Label
    border_width: int = 3
    border_managed: bool = True
    """Whether windows under a window manager's care have our border too: it counts when keeping frames on screen."""
    override_redirect: bool = True
    """Whether windows may ask to be left alone by the window manager, as menus do."""
    override_redirect_protection: bool = True
    """Whether such windows may not cover nearly all of the work area."""
    allow_fullscreen: bool = False
    """Whether a VM may hide its border by going fullscreen. If not, such a window is maximised instead."""
    utf8_titles: bool = False
    allow_frames: bool = False
    """Whether MFNDUMP, buffers by machine frame number, is served: only where the backend can map those."""
    paint_limit: int = 512
    """Most rectangles that are painted in one window per wake-up."""
    copy_keys: KeySequence | None = None
    """What makes this VM's clipboard that of all VMs; None for no such keys."""
    paste_keys: KeySequence | None = None
    """What gives it to this VM."""
    max_clipboard_size: int = CLIPBOARD_DEFAULT
    """Most bytes that are copied from this VM."""
    quotas: Quotas = field(default_factory=Quotas)
