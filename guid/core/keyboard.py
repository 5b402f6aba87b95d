"""A VM learns about keys that it was meant to get, and about no others.

It is told of a key's release only if it was told of its press, and which keys are down only as far as it was told of
their presses. So an AppVM whose window slides under the pointer, or gets the keyboard for a moment, cannot sample what
is typed into another VM.
"""

from typing import Final

from guid.core.timer import Timer

NO_KEYS: Final = bytes(32)

RELEASE_SECONDS: Final = 0.1
"""How long keys that were down when the VM lost the keyboard stay down in it.

A key that is held while the user turns to another VM would repeat in the first one until he comes back, because its
release goes elsewhere. But when the keyboard only goes from one window of the VM to another, which looks the same until
the second one reports, a held key should stay held. X servers begin to repeat a key after 0.2 s or more.
"""


class Keyboard:
    """The keys that the VM believes to be down."""

    def __init__(self) -> None:
        self._down: set[int] = set()
        self._release = Timer()

    def pressed(self, keycode: int) -> None:
        """The VM is told that this key went down."""
        self._down.add(keycode)

    def released(self, keycode: int) -> bool:
        """Whether the VM is to be told that this key went up."""
        if keycode not in self._down:
            return False
        self._down.remove(keycode)
        return True

    def gained(self, keys_down: bytes) -> bytes:
        """The VM has the keyboard: the bitmap it is to be told. `keys_down` is the 32-byte bitmap of the desktop."""
        self._release.stop()
        self._down = {key for key in self._down if key >> 3 < len(keys_down) and keys_down[key >> 3] >> (key & 7) & 1}
        bitmap = bytearray(NO_KEYS)
        for key in self._down:
            bitmap[key >> 3] |= 1 << (key & 7)
        return bytes(bitmap)

    def kept(self) -> None:
        """The VM has the keyboard, and nobody says which keys are down."""
        self._release.stop()

    def lost(self) -> None:
        """The VM lost the keyboard, for all we know now."""
        if self._down:
            self._release.start(RELEASE_SECONDS)

    def tick(self, now: float) -> bool:
        """Whether the VM is to be told that all keys are up."""
        if not self._release.rings(now) or not self._down:
            return False
        self._down.clear()
        return True

    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        return self._release.deadline()
