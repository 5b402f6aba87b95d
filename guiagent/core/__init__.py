"""The agent's pure part: a source's events become wire messages, a daemon's messages operations for the source."""
