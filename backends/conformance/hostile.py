"""What a backend must survive: a domain whose half of it was replaced by something worse."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from backends.base import PageMapper, PeerMisbehaved, Refs
from backends.conformance.waiting import no_descriptor_leaks, prompt

PageAttack = Callable[[], AbstractContextManager[tuple[PageMapper, Refs]]]
"""Sets up a domain that misbehaves: a mapper for its pages, and references that it would send. Cleans up after."""

_ROUNDS = 3


def check_hostile_pages(attacks: Mapping[str, PageAttack]) -> None:
    """Each attack, by name, ends in PeerMisbehaved and nothing else: no other error, no waiting, no leak."""
    for name, attack in attacks.items():
        with no_descriptor_leaks(f"attack {name!r}"):
            for _ in range(_ROUNDS):
                with attack() as (mapper, refs):
                    _check_refused(name, mapper, refs)


def _check_refused(name: str, mapper: PageMapper, refs: Refs) -> None:
    try:
        with prompt(f"mapping during attack {name!r}"):
            mapped = mapper.map(refs)
    except PeerMisbehaved:
        pass
    except Exception as error:
        raise AssertionError(f"attack {name!r} raised {type(error).__name__}, not PeerMisbehaved: {error}") from error
    else:
        mapped.release()
        raise AssertionError(f"attack {name!r} was not noticed")
    finally:
        with prompt(f"closing the mapper after attack {name!r}"):
            mapper.close()
