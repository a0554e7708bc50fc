"""ui: what the user does and sees.  No socket."""
