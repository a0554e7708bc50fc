"""releases: what a release has left behind, and the programs of today beside it."""
