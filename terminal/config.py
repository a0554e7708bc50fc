"""config: the options of a program from a file, and where each value came from.

The file is INI, as configparser has it: sections, `option = value`, and comments in lines of their
own.  The options are those of the command line, by their long names; a flag is `yes` or `no`; an
option that may be repeated has one value for each line.  What a file says is a default: the
environment and the command line are stronger.  Every value goes through the program's own argument
parser, so it is checked and converted there; a fault is one line that names the file and the line.

A file can name programs that are run, so it counts only if nobody but its user, or root, can have
written it.
"""
from __future__ import annotations

import argparse
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

SIZE_MAX = 256 * 1024       # bytes of a file
YES, NO = frozenset({"yes", "true", "on", "1"}), frozenset({"no", "false", "off", "0"})
KEY = re.compile(r"([^\s=#;\[][^=]*?)\s*=")

Check = Callable[[str], object]     # raises ValueError, with a reason, for a value that is none


class BadConfig(Exception):
    """A file that can't be used: one line that says where and why."""


class Foreign(BadConfig):
    """It may be somebody else's."""


class Unreadable(Foreign):
    """This user may not even read it."""


class Setting(NamedTuple):
    """What a file says of an option."""
    text: str
    where: str              # the file and the line


def read(path: str, sections: Mapping[str, Sequence[str]]) -> dict[str, Setting]:
    """The options in a file, by their long names.  `sections`: those that there may be, and the
    options of each.  Raises BadConfig, FileNotFoundError."""
    text = _text(path)
    import configparser  # 5 ms, at a start that has no file
    # Not `:`, which is part of addresses.
    parser = configparser.RawConfigParser(delimiters=("=",), default_section="")
    try:
        parser.read_string(text)
    except configparser.MissingSectionHeaderError as fault:
        home = _home(str(fault.line).partition("=")[0].strip(), sections)
        raise BadConfig(f"{path}:{fault.lineno}: a section comes first: "
                        f"[{home or next(iter(sections))}]") from None
    except configparser.DuplicateOptionError as fault:
        raise BadConfig(f"{path}:{fault.lineno}: {fault.option} stands there twice") from None
    except configparser.DuplicateSectionError as fault:
        raise BadConfig(f"{path}:{fault.lineno}: [{fault.section}] stands there twice") from None
    except configparser.ParsingError as fault:
        raise BadConfig(f"{path}:{fault.errors[0][0]}: neither a section nor `option = value`"
                        ) from None
    found = {}
    for section in parser.sections():
        if section not in sections:
            known = ", ".join(f"[{name}]" for name in sections)
            raise BadConfig(f"{path}:{_line(text, section)}: no section [{section}] is known: "
                            f"{known}")
        for key, value in parser.items(section):
            where = f"{path}:{_line(text, section, key)}"
            if key not in sections[section]:
                if home := _home(key, sections):
                    raise BadConfig(f"{where}: {key} stands in [{home}], not in [{section}]")
                raise BadConfig(f"{where}: no option {key} is known in [{section}]: "
                                f"{', '.join(sections[section])}")
            found[key] = Setting(value, where)
    return found


def _home(key: str, sections: Mapping[str, Sequence[str]]) -> str:
    """The section of an option; "": there is no such option."""
    return next((section for section, keys in sections.items() if key in keys), "")


def _text(path: str) -> str:
    """What is in the file.  Raises BadConfig, FileNotFoundError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)      # it may be a FIFO
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise BadConfig(f"{path} is no file")
            if status.st_uid not in (0, os.geteuid()):
                raise Foreign(f"{path} belongs to another user")
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise Foreign(f"{path} may be written by others: chmod go-w {path}")
            data = file.read(SIZE_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except PermissionError as fault:            # of another user's home, as after su
        raise Unreadable(f"{path} can't be read: {fault.strerror}") from None
    except OSError as fault:
        raise BadConfig(f"{path} can't be read: {fault.strerror}") from None
    if len(data) > SIZE_MAX:
        raise BadConfig(f"{path} is longer than {SIZE_MAX // 1024} KiB")
    try:
        return data.decode()
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise BadConfig(f"{path}:{line}: not UTF-8") from None


def _line(text: str, section: str, key: str = "") -> int:
    """Where a section, or an option in it, stands; configparser does not say."""
    inside = False
    for number, row in enumerate(text.splitlines(), 1):
        if row.strip().startswith("["):
            inside = row.strip().startswith(f"[{section}]")
            if inside and not key:
                return number
        elif inside and (match := KEY.match(row.strip())) and match[1].lower() == key:
            return number
    return 0


# ---- what the options are then ----

def take(made: argparse.ArgumentParser, words: Sequence[str], found: Mapping[str, Setting],
         checks: Mapping[str, Check], environment: Mapping[str, str]) -> argparse.Namespace:
    """The options of these words, with what the file has for those that are not among them.

    `environment`: the variable of an option, which is stronger if it is set.  Raises BadConfig."""
    given = of_words(made, words)
    for action in options_of(made):
        key = name_of(action)
        if key in found and not os.environ.get(environment.get(key, "")):
            value = _value(made, action, found[key], checks.get(key, str))
            if action.dest not in given:
                action.default = value
    return made.parse_args(words)


def _value(made: argparse.ArgumentParser, action: argparse.Action, setting: Setting, check: Check
           ) -> Any:
    """What the parser makes of a setting.  Raises BadConfig."""
    def error(message: str) -> None:
        reason = message.removeprefix(f"argument --{name_of(action)}: ")
        raise BadConfig(f"{setting.where}: {name_of(action)}: {reason}")

    if action.nargs == 0:
        if setting.text.lower() not in YES | NO:
            error(f"{setting.text!r} is neither yes nor no")
        return setting.text.lower() in YES
    lines = [line.strip() for line in setting.text.splitlines() if line.strip()]
    if not _is_list(action) and len(lines) > 1:
        error("it goes on in the next line")
    words = [f"--{name_of(action)}={line}" for line in lines or [""]]
    own, made.error = made.error, error     # type: ignore[assignment, method-assign]
    try:
        for line in lines or [""]:
            check(line)
        return getattr(made.parse_args(words), action.dest)
    except ValueError as fault:
        error(str(fault) if repr(line) in str(fault) else f"{line!r}: {fault}")
    finally:
        made.error = own                    # type: ignore[method-assign]


def _is_list(action: argparse.Action) -> bool:
    """Whether the option may be repeated."""
    return type(action).__name__ == "_AppendAction"


def of_words(made: argparse.ArgumentParser, words: Sequence[str]) -> set[str]:
    """The options that stand among the words, by where argparse puts them."""
    before = {action: action.default for action in made._actions}
    try:
        for action in made._actions:
            action.default = argparse.SUPPRESS
        return set(vars(made.parse_args(words)))
    finally:
        for action, default in before.items():
            action.default = default


def options_of(made: argparse.ArgumentParser) -> list[argparse.Action]:
    """All that have a long name."""
    return [action for action in made._actions if name_of(action)]


def name_of(action: argparse.Action) -> str:
    """The long name of an option, without dashes."""
    return next((each[2:] for each in action.option_strings if each.startswith("--")), "")


# ---- as a file ----

def show(made: argparse.ArgumentParser, chosen: argparse.Namespace, origin: Mapping[str, str],
         sections: Mapping[str, Sequence[str]], width: int) -> Iterator[str]:
    """The lines of a file with these options; `origin`: where each value came from, and for a
    default "".  Defaults are comments."""
    actions = {name_of(action): action for action in options_of(made)}
    for section, keys in sections.items():
        if section != next(iter(sections)):
            yield ""
        yield f"[{section}]"
        for key in keys:
            action = actions[key]
            yield ""
            yield from _wrapped(f"{action.help or key}".replace("%%", "%"), width)
            if origin[key]:
                yield f"# from {origin[key]}"
            yield from _assigned(key, getattr(chosen, action.dest), not origin[key])


def _wrapped(text: str, width: int) -> Iterator[str]:
    row = "#"
    for word in text.split():
        if len(row) + len(word) >= width and row != "#":
            yield row
            row = "#"
        row += f" {word}"
    yield row


def _assigned(key: str, value: Any, is_default: bool) -> Iterator[str]:
    texts = value if isinstance(value, list) else [value]
    words = ["yes" if each is True else "no" if each is False else "" if each is None else str(each)
             for each in texts]
    mark = "#" if is_default else ""
    head = f"{mark}{key} ="
    yield f"{head} {words[0]}".rstrip() if words else head
    yield from (f"{mark}    {word}" for word in words[1:])
