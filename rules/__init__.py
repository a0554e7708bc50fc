"""rules: who may do what, and who hears of it.  No socket, no clock, no disk."""
