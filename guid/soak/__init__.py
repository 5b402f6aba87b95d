"""A long run of everything at once: what users do, and what goes wrong."""
