"""Qubes DB: one namespace of small values for each VM, kept the same on the admin side and in the VM over vchan.

`wire`, `namespace`, `link` and `core` are pure; `store` is the file that the admin side keeps, `daemon` the process,
`client` and `keys` what others use. Facts of the protocol: the public sources of QubesOS/qubes-core-qubesdb.
"""
