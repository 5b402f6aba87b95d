"""Shared memory as such: regions, pages, window buffers, damage, and the path from a region to an X server."""
