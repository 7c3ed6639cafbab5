"""The published rules that a backtest replays beside a policy, and where each comes from.

What comes in: nothing. What goes out: for each name a factory of :class:`stepsize.analyzer.backtest.sizer.Rule`, one
instance of which works on one step. A rule sees a task's request, input size, run and time before it runs, its peak and
hours when it has ended, and nothing of other steps. With no history of a step it asks for what the user did, unless its
source says otherwise. Every rule is deterministic. The oracle is the replay's own (``knows_peaks``).

The modules say from which paper and which file each constant comes, and what differs from the original;
``docs/backtest.md`` has them in one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from stepsize.analyzer.backtest.baselines.autopilot import Autopilot
from stepsize.analyzer.backtest.baselines.bucketing import Bucketing
from stepsize.analyzer.backtest.baselines.exhaustive_buckets import exhaustive_buckets
from stepsize.analyzer.backtest.baselines.greedy_buckets import greedy_buckets
from stepsize.analyzer.backtest.baselines.krr import Krr
from stepsize.analyzer.backtest.baselines.kubernetes_vpa import KubernetesVpa
from stepsize.analyzer.backtest.baselines.largest import LargestOfAll, LargestOfLast
from stepsize.analyzer.backtest.baselines.ponder import Ponder
from stepsize.analyzer.backtest.baselines.requested import Requested
from stepsize.analyzer.backtest.baselines.resource_tracker import ResourceTracker
from stepsize.analyzer.backtest.baselines.sizey import Sizey
from stepsize.analyzer.backtest.baselines.tovar import Tovar, least_waste, most_throughput
from stepsize.analyzer.backtest.baselines.witt_linear import WittLinear
from stepsize.analyzer.backtest.baselines.witt_low_wastage import WittLowWastage
from stepsize.analyzer.backtest.baselines.witt_percentile import WittPercentile
from stepsize.analyzer.backtest.sizer import RuleSizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepsize.analyzer.backtest.sizer import Rule


@dataclass(frozen=True, slots=True)
class Baseline:
    """A published rule: ``make`` gives one for a step; ``description`` and ``source`` are a line each.

    ``by_task``: whether its requests depend on the task, its input or what was asked for it, or on the step alone.
    """

    name: str
    make: Callable[[], Rule]
    description: str
    source: str
    by_task: bool = False

    def sizer(self) -> RuleSizer:
        """The rule at work on the steps of one file."""
        return RuleSizer(self.make, by_task=self.by_task)


_ALL = (
    Baseline(
        "requested",
        Requested,
        "what the user asked for; times the attempt after failures",
        "nf-core template",
        by_task=True,
    ),
    Baseline("max-1.2-all", LargestOfAll, "the largest peak of all tasks times 1.2", "rule of thumb"),
    Baseline("max-1.2-last5", LargestOfLast, "the largest peak of the last five tasks times 1.2", "rule of thumb"),
    Baseline(
        "resource-tracker",
        ResourceTracker,
        "the largest peak of the last five runs times 1.2, rounded up to its steps",
        "resource-tracker 0.5.0",
    ),
    Baseline(
        "resource-tracker-exact",
        lambda: ResourceTracker(rounded=False),
        "the largest peak of the last five runs times 1.2, not rounded",
        "resource-tracker 0.5.0",
    ),
    Baseline(
        "vpa",
        KubernetesVpa,
        "p90 of a histogram that fades by half in 24 h, + 15 %",
        "kubernetes/autoscaler, recommender",
    ),
    Baseline("krr", Krr, "the largest peak of two weeks + 15 %", "robusta-dev/krr, strategy simple"),
    Baseline("autopilot", Autopilot, "p98 of a load that fades by half in 48 h, + 10 %", "Rzadca 2020, EuroSys, 3.2.2"),
    Baseline(
        "tovar-waste", lambda: Tovar(least_waste), "the least expected waste over past peaks", "Tovar 2018, TPDS, eq. 1"
    ),
    Baseline(
        "tovar-throughput",
        lambda: Tovar(most_throughput),
        "the highest expected throughput over past peaks",
        "Tovar 2018, TPDS, eq. 3",
    ),
    Baseline("witt-p95", WittPercentile, "the 95th percentile of past peaks", "Witt 2019, HPCS, feedback-based"),
    Baseline(
        "witt-lr",
        WittLinear,
        "a line over the input size + its errors' std",
        "Witt 2019, HPCS, feedback-based",
        by_task=True,
    ),
    Baseline(
        "witt-low-wastage",
        WittLowWastage,
        "the line that would have wasted least",
        "Witt 2019, HPCS, low-wastage",
        by_task=True,
    ),
    Baseline(
        "ponder",
        Ponder,
        "a lopsided line with an offset, or the largest peak",
        "Lehmann 2024, e-Science",
        by_task=True,
    ),
    Baseline(
        "sizey",
        Sizey,
        "regressors mixed by accuracy, with a dynamic offset",
        "Bader 2024, CLUSTER",
        by_task=True,
    ),
    Baseline(
        "greedy-bucketing", lambda: Bucketing(greedy_buckets), "a bucket of past peaks, drawn", "Phung 2021, WORKS"
    ),
    Baseline(
        "exhaustive-bucketing",
        lambda: Bucketing(exhaustive_buckets),
        "a bucket of evenly spaced ones, drawn",
        "Phung 2024, IPDPS",
    ),
)
RULES: Mapping[str, Baseline] = MappingProxyType({rule.name: rule for rule in _ALL})
"""Every baseline by its name, in the order in which a backtest lists them."""
