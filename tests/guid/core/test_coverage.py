"""Together means together: what lies above another frame is not counted twice, and nothing outside of the area is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from guid.core.coverage import covered
from guid.core.trusted import Geometry

AREA = Geometry(5, 3, 40, 30)
FRAMES = st.builds(Geometry, st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 60), st.integers(1, 60))


@given(st.lists(FRAMES, max_size=8))
def test_it_counts_as_painting_would(frames: list[Geometry]) -> None:
    canvas = np.zeros((200, 200), bool)
    for frame in frames:
        canvas[frame.y + 50 : frame.y + frame.height + 50, frame.x + 50 : frame.x + frame.width + 50] = True
    inside = canvas[AREA.y + 50 : AREA.y + AREA.height + 50, AREA.x + 50 : AREA.x + AREA.width + 50]
    assert covered(frames, AREA) == inside.sum()


def test_large_numbers_do_not_overflow() -> None:
    huge = Geometry(0, 0, 32767, 32767)
    assert covered([huge, huge], huge) == 32767 * 32767
