"""The process that shows one VM: a loop around the pure session, and how it comes to be."""
