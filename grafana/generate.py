"""Writes Grafana's dashboards and alert rules from `boards/` and `sql/`.

What comes in: a directory, by default this one. What goes out: ``dashboards/*.json``, ``prometheus/dashboards/*.json``
and ``provisioning/alerting/stepsize.yaml`` below it, the same bytes each time. Needs Python 3.11 and
grafana-foundation-sdk.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from boards import BOARDS, alerts, prometheus  # noqa: E402 - they lie beside this file, which is no package


def write(into: Path) -> None:
    """Write everything; dashboards that no board makes go."""
    for boards, dashboards in ((BOARDS, into / "dashboards"), (prometheus.BOARDS, into / "prometheus" / "dashboards")):
        dashboards.mkdir(parents=True, exist_ok=True)
        texts = {f"{board.uid}.json": _text(board.build()) for board in boards}
        for path in dashboards.glob("*.json"):
            if path.name not in texts:
                path.unlink()
        for name, text in texts.items():
            (dashboards / name).write_text(text, "utf-8")
    rules = into / "provisioning" / "alerting" / "stepsize.yaml"
    rules.parent.mkdir(parents=True, exist_ok=True)
    rules.write_text(alerts.text(), "utf-8")


def _text(dashboard: object) -> str:
    return json.dumps(dashboard, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
