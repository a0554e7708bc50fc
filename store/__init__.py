"""store: what must survive.  It knows users and messages; it knows no socket and no rule."""
