"""The Qubes GUI protocol, versions 1.0 to 1.8, as a pure library: bytes in, events out. protocol.md is its text."""
