"""How many descriptors this process may have open: memory that is shared piece by piece takes one for each piece."""

import contextlib
import resource
from typing import Final

ENOUGH: Final = 4096


def allow(number: int = ENOUGH) -> None:
    """Have room for that many, or as many as the system lets us have; programs started later have as much."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
