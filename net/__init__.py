"""net: what both ends of a line share.  It knows no other room."""
