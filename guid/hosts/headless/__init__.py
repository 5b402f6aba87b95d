"""The display host without a display: windows become a picture in memory."""
