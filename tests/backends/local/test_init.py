"""The local backend's settings and what it says is missing."""

import os
from pathlib import Path

import pytest

from backends.base import MachineCannot, VchanState
from backends.local import LocalBackend, factory
from backends.local.vchan import DEFAULT_SOCKET_DIR


def test_the_socket_directory_is_that_of_the_environment(socket_dir: Path) -> None:
    server = factory({"VCHAN_SOCKET_DIR": str(socket_dir)}).server(5, 0, 6000)
    assert (socket_dir / "vchan.5.0.6000.sock").is_socket()
    server.close()


@pytest.mark.parametrize("environ", [{}, {"VCHAN_SOCKET_DIR": ""}])
def test_the_default_is_that_of_libvchan_socket(environ: dict[str, str]) -> None:
    backend = factory(environ)
    assert isinstance(backend, LocalBackend)
    assert backend.socket_dir == Path(DEFAULT_SOCKET_DIR) == Path("/var/run/vchan")


def test_ids_are_in_the_order_of_the_contract(socket_dir: Path) -> None:
    backend = LocalBackend(socket_dir)
    server, sharer = backend.server(5, 7, 1), backend.sharer(5, 7)
    assert {path.name for path in socket_dir.glob("*.sock")} == {"vchan.5.7.1.sock", "pages.5.7.sock"}
    client, mapper = backend.client(7, 5, 1), backend.mapper(7, 5)
    assert client.update() is VchanState.CONNECTED
    pages = sharer.allocate(1)
    sharer.publish()
    mapper.map(pages.refs).release()
    for each in (client, mapper, server, sharer):
        each.close()


@pytest.mark.parametrize("domid", [-1, 65536])
def test_a_domain_id_is_a_u16(socket_dir: Path, domid: int) -> None:
    backend = LocalBackend(socket_dir)
    for make in (
        lambda: backend.server(domid, 0, 1),
        lambda: backend.client(0, domid, 1),
        lambda: backend.sharer(0, domid),
        lambda: backend.mapper(domid, 0),
    ):
        with pytest.raises(MachineCannot, match=f"there is no domain {domid}"):
            make()


def test_nothing_is_missing_for_vchans_and_pages(socket_dir: Path) -> None:
    assert LocalBackend(socket_dir).missing() == []


def test_a_system_without_memfd_says_so(socket_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(os, "memfd_create", refuse)
    (sentence,) = LocalBackend(socket_dir).missing()
    assert "memfd" in sentence


def test_programs_are_missing_only_for_domains(socket_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(socket_dir))
    backend = LocalBackend(socket_dir)
    assert backend.missing() == []
    missing = backend.missing(domains=True)
    assert ["apt install xvfb" in missing[0], "apt install bubblewrap" in missing[1]] == [True, True]


def test_a_sandbox_that_cannot_be_made_is_said(socket_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, status in (("bwrap", 1), ("Xvfb", 0), ("unshare", 0)):
        program = socket_dir / name
        program.write_text(f"#!/bin/sh\necho no namespaces >&2\nexit {status}\n")
        program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{socket_dir}:/usr/bin:/bin")
    (sentence,) = LocalBackend(socket_dir).missing(domains=True)
    assert sentence.startswith("User namespaces")
