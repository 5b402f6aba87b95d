"""The display host for X11 desktops, with or without a window manager."""
