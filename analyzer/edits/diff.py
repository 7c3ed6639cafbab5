"""Two texts as a unified diff that ``patch`` and ``git apply`` take. Pure.

What comes in: bytes and a path. What goes out: bytes, none where they are equal. Line ends are kept, a last line
without one is marked, and names are quoted as git quotes them.
"""

from __future__ import annotations

import difflib
import os
import re

_NO_END = b"\\ No newline at end of file"
_CONTEXT = 3
_UNSAFE = re.compile(rb'[\x00-\x1f"\\\x7f]')
_ESCAPED = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')
_SHORT = {b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r", b'"': b'\\"', b"\\": b"\\\\"}


def unified(before: bytes, after: bytes, path: str) -> bytes:
    """The difference under ``a/path`` and ``b/path``."""
    names = (_header(f"a/{path}"), _header(f"b/{path}"))
    lines = difflib.diff_bytes(difflib.unified_diff, _lines(before), _lines(after), *names, n=_CONTEXT)
    return b"".join(line if line.endswith(b"\n") else b"%s\n%s\n" % (line, _NO_END) for line in lines)


def _lines(text: bytes) -> list[bytes]:
    """Lines as ``patch`` counts them: at line feeds alone, not at the other breaks that Python knows."""
    parts = text.split(b"\n")
    return [b"%s\n" % part for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _header(path: str) -> bytes:
    """A name as git writes it: in quotes where it has to be escaped, else with a tab behind blanks, at which ``patch``
    would end it.
    """
    name = os.fsencode(path)
    if name.decode("utf-8", "replace").encode() == name and not _UNSAFE.search(name):
        return name + (b"\t" if b" " in name else b"")
    return b'"%s"' % _ESCAPED.sub(lambda found: _escape(found[0]), name)


def _escape(byte: bytes) -> bytes:
    return _SHORT.get(byte) or b"\\%03o" % ord(byte)
