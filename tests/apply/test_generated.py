"""Whatever a flow's source looks like: it is edited once and for all, and Metaflow reads what was advised."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.apply.advice import MIB_PER_MB, applied, wanted
from tests.apply.effective import asked
from tests.apply.outside import outside

COMMENT = ["", "  # why", "#"]
NUMBERS = ["{0}", '"{0}"', "'{0}'", "({0})", "{0}.0", "{0:_}", "{0:#x}", "{0}e0", "1 * {0}", "{0} + 0"]
MEMORY_MB = [100, 780, 4000, 4096, 5500, 64_000]
DISK_MB = [500, 10_240, 15_000, 90_000]


@dataclass(frozen=True)
class Names:
    """How a file imports, and so calls, what it needs."""

    lines: str
    owner: str

    def __call__(self, name: str) -> str:
        return f"{self.owner}{name}"


@st.composite
def imports(draw: st.DrawFn) -> Names:
    """One of the ways to import Metaflow's names; the decorators that a file uses are always among them."""
    style = draw(st.sampled_from(["names", "brackets", "lines", "backslash", "star", "module", "short"]))
    if style in ("module", "short"):
        return Names("import metaflow\n", "metaflow.") if style == "module" else Names("import metaflow as mf\n", "mf.")
    if style == "star":
        return Names("from metaflow import *\n", "")
    names = ["FlowSpec", "step", "retry", *draw(st.sets(st.sampled_from(["timeout", "catch", "Parameter"])))]
    names += ["resources", "kubernetes", "batch"] if draw(st.booleans()) else []
    names = sorted(names) if draw(st.booleans()) else draw(st.permutations(names))
    if style == "names":
        return Names(f"from metaflow import {', '.join(names)}  # noqa\n", "")
    if style == "backslash":
        return Names(f"from metaflow import {names[0]}, \\\n    {', '.join(names[1:])}\n", "")
    if style == "brackets":
        return Names(f"from metaflow import ({', '.join(names)})\n", "")
    comma = draw(st.sampled_from([",", ""]))
    comment = draw(st.sampled_from(COMMENT))
    return Names("from metaflow import (\n    " + f",{comment}\n    ".join(names) + f"{comma}{comment}\n)\n", "")


@st.composite
def decorators(draw: st.DrawFn, names: Names, indent: str) -> list[str]:
    """Those of one step, without @step: sizes in every layout, and others between."""
    kinds = draw(
        st.sampled_from(
            [(), ("resources",), ("kubernetes",), ("batch",), ("kubernetes", "resources"), ("batch", "resources")]
        )
    )
    if not names.owner and "resources" not in names.lines and "*" not in names.lines:
        kinds = ()
    found = [draw(called(names(kind), kind, indent)) for kind in draw(st.permutations(kinds))]
    if draw(st.booleans()) and (names.owner or "timeout" in names.lines or "*" in names.lines):
        found.append(
            f"@{names('timeout')}({draw(st.sampled_from(['hours=2', 'minutes=90, seconds=30', 'seconds=7200']))})"
        )
    if draw(st.booleans()):
        found.append(f"@{names('retry')}")
    return found


@st.composite
def called(draw: st.DrawFn, name: str, kind: str, indent: str) -> str:
    """One decorator with some arguments, in one of the layouts that people and formatters make."""
    takes = ["cpu", "memory", "gpu", *([] if kind == "batch" else ["disk"])]
    chosen = draw(st.lists(st.sampled_from(takes), unique=True, max_size=4))
    equals = draw(st.sampled_from(["=", " = "]))
    pairs = []
    for argument in chosen:
        forms = NUMBERS[:4] if argument == "gpu" else NUMBERS
        amount = draw(
            st.sampled_from({"cpu": [1, 2, 16], "memory": MEMORY_MB, "gpu": [1, 4], "disk": DISK_MB}[argument])
        )
        pairs.append(f"{argument}{equals}{draw(st.sampled_from(forms)).format(amount)}")
    if not pairs:
        return f"@{name}{draw(st.sampled_from(['', '()', '( )']))}"
    layout = draw(st.sampled_from(["line", "comma", "lines", "lines_comma", "hanging", "mixed"]))
    inner, comment = indent * 3, draw(st.sampled_from(COMMENT))
    if layout in ("line", "comma"):
        return f"@{name}({', '.join(pairs)}{',' if layout == 'comma' else ''}){comment}"
    if layout == "hanging":
        return f"@{name}(" + f",{comment}\n{inner}".join(pairs) + ")"
    comma = "," if layout != "lines" else ""
    close = f"\n{indent})" if layout != "mixed" else ")"
    last = "" if layout == "mixed" else comment
    return f"@{name}(\n{inner}" + f",{comment}\n{inner}".join(pairs) + f"{comma}{last}{close}"


@st.composite
def sources(draw: st.DrawFn) -> str:
    """A whole file."""
    names = draw(imports())
    indent = draw(st.sampled_from(["    ", "  ", "\t"]))
    steps = ["start", *["middle", "last"][: draw(st.integers(0, 2))], "end"]
    lines = [names.lines, f"\nclass GeneratedFlow({names('FlowSpec')}):\n"]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        for decorator in draw(decorators(names, indent)):
            lines.append(f"{indent}{decorator}\n")
            lines.append(draw(st.sampled_from(["", "\n", f"{indent}# between\n"])))
        lines.append(f"{indent}@{names('step')}{draw(st.sampled_from(COMMENT))}\n{indent}def {step}(self):\n")
        lines.append(f"{indent * 2}self.next(self.{following})\n" if following else f"{indent * 2}pass")
    text = "".join(lines) + draw(st.sampled_from(["", "\n", "\n\n# end é"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


amounts = st.fixed_dictionaries(
    {"memory_mb": st.sampled_from(MEMORY_MB)},
    optional={
        "cpu": st.integers(1, 64),
        "gpu": st.integers(0, 8),
        "disk_mb": st.sampled_from(DISK_MB),
        "timeout_s": st.sampled_from([60, 90, 5400, 7200, 100_800]),
    },
)


@given(sources(), amounts)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_edited_once_and_read_as_advised(text: str, advised: dict[str, int]) -> None:
    """The rest of the file stays; what is not advised is asked for as before."""
    steps = [line.split("def ")[1].split("(")[0] for line in text.split("\n") if "def " in line]
    advice = [wanted("GeneratedFlow", step, **advised) for step in steps]
    edited = applied(text, *advice, timeout=True, drop_gpus=True)
    after = edited.data.decode()
    assert outside(after) == outside(text)
    assert applied(after, *advice, timeout=True, drop_gpus=True).data == edited.data
    event(f"{min(len(edited.edits), 5)} edits or more")
    refused = {(remark.step, "disk") for remark in edited.remarks if "AWS Batch takes no disk" in remark.text}
    with tempfile.TemporaryDirectory() as directory:
        old, new = Path(directory, "old.py"), Path(directory, "new.py")
        old.write_bytes(text.encode())
        new.write_bytes(edited.data)
        before, now = asked(old), asked(new)
    for step in steps:
        check(
            advised, before["GeneratedFlow", step], now["GeneratedFlow", step], without_disk=(step, "disk") in refused
        )


def check(advised: dict[str, int], before: dict[str, float], now: dict[str, float], *, without_disk: bool) -> None:
    """One step's numbers; memory on Batch is in MiB, of a size that a person would write."""
    keys = {"cpu": "cpu", "memory": "memory_mb", "gpu": "gpu", "disk": "disk_mb", "timeout": "timeout_s"}
    for key, name in keys.items():
        if name not in advised or (key == "disk" and without_disk):
            assert now.get(key, 0) == before.get(key, 0), key
        elif key == "memory" and now[key] != advised[name]:
            assert 1 <= now[key] * MIB_PER_MB / advised[name] <= 1.15, key
        else:
            assert now.get(key, 0) == advised[name], key
