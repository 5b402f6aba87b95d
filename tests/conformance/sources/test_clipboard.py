"""The clipboard of a source's programs: what they copied is fetched, what is offered they can paste."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guiagent.core.clipboard_text import harmless
from guiagent.sources.base import Clipboard
from tests.conformance.sources.copying import Copier, Paster, fetched, pasted, pump
from tests.conformance.sources.guest import Guest

TEXT = "Grüße, 東京\n".encode()
LONG = (TEXT * 20_000)[:200_000].decode(errors="ignore").encode()
OVER = bytes([65]) * 256_001


@pytest.fixture
def clipboard(guest: Guest) -> Iterator[Clipboard]:
    made = guest.source.clipboard()
    assert made is not None
    yield made
    made.close()


# --- what programs have copied ---


def test_nothing_is_copied(clipboard: Clipboard) -> None:
    assert fetched(clipboard) == b""


@pytest.mark.parametrize("part", [0, 4096, 65536], ids=["at once", "in parts", "in large parts"])
@pytest.mark.parametrize("text", [b"", b"x", TEXT, LONG, OVER[:-1]], ids=["empty", "one", "short", "long", "longest"])
def test_text_is_fetched(guest: Guest, clipboard: Clipboard, text: bytes, part: int) -> None:
    program = Copier(guest.display, {"STRING": b"not this", "UTF8_STRING": text}, part=part)
    assert fetched(clipboard, program) == text
    assert program.asked == ["TARGETS", "UTF8_STRING"]
    program.close()


@pytest.mark.parametrize("part", [0, 65536], ids=["at once", "in parts"])
def test_more_than_may_be_fetched_is_one_byte_more(guest: Guest, clipboard: Clipboard, part: int) -> None:
    program = Copier(guest.display, {"UTF8_STRING": OVER + OVER[:3000]}, part=part, announced=5)
    assert fetched(clipboard, program) == OVER
    assert len(fetched(clipboard, program, most=65_000)) == 65_001
    program.close()


def test_a_program_that_knows_latin_1_only(guest: Guest, clipboard: Clipboard) -> None:
    program = Copier(guest.display, {"STRING": "Grüße".encode("latin-1")})
    assert fetched(clipboard, program) == "Grüße".encode()
    program.close()


def test_a_program_that_does_not_say_what_it_has(guest: Guest, clipboard: Clipboard) -> None:
    program = Copier(guest.display, {"UTF8_STRING": TEXT}, knows_targets=False)
    assert fetched(clipboard, program) == TEXT
    program.close()
    program = Copier(guest.display, {"STRING": b"old"}, knows_targets=False)
    assert fetched(clipboard, program) == b"old"
    program.close()


@pytest.mark.parametrize("texts", [{}, {"image/png": b"picture"}], ids=["nothing", "a picture"])
def test_a_program_without_text(guest: Guest, clipboard: Clipboard, texts: dict[str, bytes]) -> None:
    program = Copier(guest.display, texts)
    assert fetched(clipboard, program) == b""
    program.close()


def test_every_question_is_answered_once(guest: Guest, clipboard: Clipboard) -> None:
    program = Copier(guest.display, {"UTF8_STRING": TEXT}, part=4)
    answers: list[bytes] = []
    for _ in range(20):
        clipboard.fetch(256_000, answers.append)
    pump(clipboard, program, until=lambda: len(answers) == 20)
    assert set(answers) <= {TEXT, b""}
    assert TEXT in answers
    program.close()


def test_a_program_that_ends_in_the_middle(guest: Guest, clipboard: Clipboard) -> None:
    program = Copier(guest.display, {"UTF8_STRING": TEXT}, part=4, patience=1)
    answers: list[bytes] = []
    clipboard.fetch(256_000, answers.append)
    pump(clipboard, program, until=lambda: not program._patience)
    program.close()
    pump(clipboard, until=lambda: answers)
    assert answers == [b""], "half a text is none"


# --- what programs paste ---


@pytest.mark.parametrize("text", [b"x", TEXT, LONG, OVER[:-1]], ids=["one", "short", "long", "longest"])
@pytest.mark.parametrize("target", ["UTF8_STRING", "text/plain;charset=utf-8"])
def test_what_is_offered_is_pasted(guest: Guest, clipboard: Clipboard, text: bytes, target: str) -> None:
    paster = Paster(guest.display)
    clipboard.offer(text)
    pump(clipboard, paster, until=lambda: _owned(paster))
    for selection in ("CLIPBOARD", "PRIMARY"):
        assert pasted(clipboard, paster, target, selection) == text
        assert paster.kind == target
    paster.close()


def test_what_programs_may_ask_for(guest: Guest, clipboard: Clipboard) -> None:
    paster = Paster(guest.display)
    clipboard.offer("Grüße, 東京".encode())
    pump(clipboard, paster, until=lambda: _owned(paster))
    targets = {str(paster.display.get_atom_name(atom)) for atom in pasted(clipboard, paster, "TARGETS")}
    assert targets == {"TARGETS", "TIMESTAMP", "MULTIPLE", "UTF8_STRING", "text/plain;charset=utf-8", "STRING"}
    assert pasted(clipboard, paster, "STRING") == "Grüße, ??".encode("latin-1")
    (since,) = pasted(clipboard, paster, "TIMESTAMP")
    assert since > 0
    assert pasted(clipboard, paster, "image/png") is None
    paster.close()


def test_several_at_once(guest: Guest, clipboard: Clipboard) -> None:
    paster = Paster(guest.display)
    clipboard.offer(b"text")
    pump(clipboard, paster, until=lambda: _owned(paster))
    atom = paster.atom
    words = [atom("UTF8_STRING"), atom("A"), atom("image/png"), atom("B"), atom("STRING"), atom("C")]
    paster.own.change_property(atom("PLACE"), atom("ATOM_PAIR"), 32, words)
    answer = pasted(clipboard, paster, "MULTIPLE")
    assert list(answer) == [*words[:3], 0, *words[4:]]
    for name in ("A", "C"):
        assert paster.own.get_property(atom(name), 0, 0, 100).value == b"text"
    paster.close()


def test_another_program_copies_something(guest: Guest, clipboard: Clipboard) -> None:
    paster = Paster(guest.display)
    clipboard.offer(b"from elsewhere")
    pump(clipboard, paster, until=lambda: _owned(paster))
    assert fetched(clipboard) == b"from elsewhere"
    program = Copier(guest.display, {"UTF8_STRING": b"from here"})
    assert fetched(clipboard, program) == b"from here"
    assert pasted(clipboard, paster, "UTF8_STRING", "PRIMARY") == b"from elsewhere"
    clipboard.offer(b"again")
    pump(clipboard, program, until=lambda: program.lost)
    assert pasted(clipboard, paster, "UTF8_STRING") == b"again"
    program.close()
    paster.close()


def test_nothing_harmful_is_pasted(guest: Guest, clipboard: Clipboard) -> None:
    paster = Paster(guest.display)
    clipboard.offer(b"a\x1b[31m\x07\tb\r\nc\nd\x00\xff\xc2\x9b")
    pump(clipboard, paster, until=lambda: _owned(paster))
    bad = "\ufffd".encode()
    assert pasted(clipboard, paster, "UTF8_STRING") == (b"a" + bad + b"[31m" + bad + b"\tb\r\nc\nd" + bad + bad + bad)
    paster.close()


@given(text=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode(errors="replace")))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_pasted_as_harmless_text(guest: Guest, clipboard: Clipboard, text: bytes) -> None:
    paster = Paster(guest.display)
    clipboard.offer(text)
    pump(clipboard, paster, until=lambda: _owned(paster))
    assert pasted(clipboard, paster, "UTF8_STRING") == harmless(text).encode()
    paster.close()


def _owned(paster: Paster) -> bool:
    return bool(paster.display.get_selection_owner(paster.atom("PRIMARY")))
