"""sequences: which key a whole control sequence stands for.

csi(), ss3() and typed() name the keys that xterm, the Linux console, rxvt, tmux and PuTTY send, in
their normal and their application modes, and two newer ways to write any key at all: CSI u (kitty's
keyboard protocol, fixterms) and modifyOtherKeys (xterm).  The client asks for neither of these, but
a terminal, a tmux or a program before it may have turned them on.  What such a key would be in the
old way is what it is here: C-i is Tab.  Shift-Enter, which the old way cannot say, is M-Enter.

"" stands for what is no key of ours: other function keys, keys that were released, reports.
Nothing raises, for any text.
"""
from __future__ import annotations

SHIFT, ALT, CTRL = 1, 2, 4
LOCKS = 64 | 128        # Caps Lock and Num Lock say nothing about the key
RELEASED = 3            # the kind of event that is no press

# with Ctrl or Alt these move by words
_MODIFIED = {"<Left>": "<M-b>", "<Right>": "<M-f>", "<Delete>": "<M-d>"}
_FINALS = {
    "A": "<Up>", "B": "<Down>", "C": "<Right>", "D": "<Left>", "H": "<Home>", "F": "<End>",
    "P": "<F1>", "Z": "<BackTab>", "I": "<FocusIn>", "O": "<FocusOut>",
}  # fmt: skip
_TILDES = {
    1: "<Home>", 3: "<Delete>", 4: "<End>", 5: "<PageUp>", 6: "<PageDown>", 7: "<Home>", 8: "<End>",
    11: "<F1>",
}  # fmt: skip
_SS3 = {
    "A": "<Up>", "B": "<Down>", "C": "<Right>", "D": "<Left>", "H": "<Home>", "F": "<End>",
    "P": "<F1>", "c": "<M-f>", "d": "<M-b>",  # rxvt: Ctrl-Right, Ctrl-Left
    # the keypad in its application mode
    "M": "<Enter>", "I": "<Tab>", "X": "=",
    **dict(zip("jklmnopqrstuvwxy", "*+,-./0123456789", strict=True)),
}  # fmt: skip
# the keypad in CSI u, from 57399 on
_PAD = [*"0123456789./*-+", "<Enter>", "=", ",", "<Left>", "<Right>", "<Up>", "<Down>", "<PageUp>",
        "<PageDown>", "<Home>", "<End>", "", "<Delete>"]
_PAD_FIRST = 57399
_PRIVATE = range(0xE000, 0xF900)    # where CSI u has keys that are no characters
_CONTROLS = {"\r": "<Enter>", "\n": "<Enter>", "\t": "<Tab>", "\b": "<Backspace>",
             "\x7f": "<Backspace>"}
_SHIFTED = {"<Tab>": "<BackTab>", "<Enter>": "<M-Enter>"}


def typed(char: str) -> str:
    """The key for one character; "" for a C1 control, which no keyboard sends."""
    if char < " " or char == "\x7f":
        return _CONTROLS.get(char) or f"<C-{chr(ord(char) ^ 64).lower()}>"
    return "" if "\x80" <= char < "\xa0" else char


def with_alt(char: str) -> str:
    """The key for one ASCII character behind an ESC."""
    return f"<M-{typed(char).strip('<>') or char}>"


def ss3(text: str) -> str:
    """The key of a sequence, given what follows ESC O with its final."""
    name = _SS3.get(text[-1], "")
    return _MODIFIED.get(name, name) if text[:-1].endswith(("3", "5")) else name


def csi(text: str) -> str:
    """The key of a sequence, given what follows ESC [ with its final."""
    final = text[-1]
    if text[:-1].strip("0123456789;:"):
        return ""
    fields = [[int(part or "0") for part in field.split(":")] for field in text[:-1].split(";")]
    if fields[1:] and fields[1][1:] == [RELEASED]:
        return ""
    numbers = [field[0] for field in fields]
    if final == "u":
        return _any_key(fields)
    if final == "~" and numbers[0] == 27 and len(numbers) == 3:     # modifyOtherKeys
        return _key(numbers[2], numbers[1], 0)
    if final in "~^@$":
        name = _TILDES.get(numbers[0], "")
        # of rxvt: ^ is Ctrl, $ is Shift
        modifier = 5 if final in "^@" else numbers[-1] if len(numbers) > 1 else 1
    else:
        name, modifier = _FINALS.get(final, ""), numbers[-1]
    return _MODIFIED.get(name, name) if modifier > 1 and (modifier - 1) & (ALT | CTRL) else name


def _any_key(fields: list[list[int]]) -> str:
    """CSI code:shifted:base ; modifiers:event ; text u"""
    code, shifted = fields[0][0], fields[0][1] if len(fields[0]) > 1 else 0
    if len(fields) > 2 and fields[2][0]:
        shifted = fields[2][0]
    return _key(code, fields[1][0] if fields[1:] else 1, shifted)


def _key(code: int, modifier: int, shifted: int) -> str:
    """The key with this code; `shifted`: the character that Shift makes of it, if known."""
    held = max(0, modifier - 1) & ~LOCKS
    if code in _PRIVATE:
        at = code - _PAD_FIRST
        return _PAD[at] if 0 <= at < len(_PAD) and not held & ~SHIFT else ""
    if not 0 < code < 0x110000 or 0xD800 <= code < 0xE000 or held & ~(SHIFT | ALT | CTRL):
        return ""
    char = chr(code)
    if code == 27:
        return "<Esc>"
    name = typed(char)
    if len(name) != 1:
        return _named_key(name, char, held)
    if held & SHIFT:
        char = chr(shifted) if 32 < shifted < 0xD800 else char.upper()
    if held & CTRL:
        char = _controlled(char)
        if char == "\x1b":
            return "" if held & ALT else "<Esc>"
    if held & ALT:
        return with_alt(char) if "" < char < "\x80" else ""
    return typed(char) if len(char) == 1 else ""


def _named_key(name: str, char: str, held: int) -> str:
    """Enter, Tab, Backspace with modifiers."""
    if held & ALT:
        return with_alt(char)
    if held & CTRL and name == "<Backspace>":
        return "<C-w>"
    return _SHIFTED.get(name, name) if held & SHIFT else name


def _controlled(char: str) -> str:
    """What Ctrl makes of a character; "" for nothing."""
    if char == " ":
        return "\0"
    if char in "/-":
        return "\x1f"
    code = ord(char.upper()) if char < "\x80" else 0
    return chr(code & 31) if 64 <= code < 96 else ""
