"""net: what both ends of a connection share.  It knows no other room."""
