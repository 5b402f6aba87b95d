"""Windows of an X server that already runs, followed from outside with Composite, Damage, XFixes and XTEST."""
