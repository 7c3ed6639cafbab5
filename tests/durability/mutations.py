"""Valid bytes made a little wrong, as hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

_CUTS = (
    b"",
    b"\0",
    b"\xff" * 10,
    b"\x7f\xff\xff\xff",
    b"[" * 3000,
    b'{"":' * 500,
    b"&a [*a,*a]\n",
    b"${env:X}",
    b"1e999",
)
"""Pieces that parsers trip over."""


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """``valid`` with a few bytes changed, taken out, doubled, or replaced by what parsers trip over."""
    content = bytearray(valid)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        until = min(len(content), at + draw(st.integers(0, 20)))
        kind = draw(st.sampled_from(["change", "drop", "double", "insert", "cut"]))
        if kind == "change":
            content[at:until] = draw(st.binary(min_size=until - at, max_size=until - at))
        elif kind == "drop":
            del content[at:until]
        elif kind == "double":
            content[at:at] = content[at:until]
        elif kind == "insert":
            content[at:at] = draw(st.sampled_from(_CUTS))
        else:
            del content[at:]
    return bytes(content)


def near(examples: list[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes near one of the examples, or any."""
    return st.sampled_from(examples).flatmap(mutated) | st.binary(max_size=300)
