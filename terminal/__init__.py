"""terminal: keys, width, and harmless text.  It knows no other room."""
