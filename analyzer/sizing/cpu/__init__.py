"""Sizing cores: by the distribution of use over time, weighed by what waiting costs."""

from __future__ import annotations

from stepsize.analyzer.sizing.cpu.advice import CpuSizing as CpuSizing
from stepsize.analyzer.sizing.cpu.advice import advise as advise
from stepsize.analyzer.sizing.cpu.advice import size as size
from stepsize.analyzer.sizing.cpu.advice import stretch as stretch
from stepsize.analyzer.sizing.cpu.settings import BALANCED as BALANCED
from stepsize.analyzer.sizing.cpu.settings import CHEAP as CHEAP
from stepsize.analyzer.sizing.cpu.settings import PRESETS as PRESETS
from stepsize.analyzer.sizing.cpu.settings import SAFE as SAFE
from stepsize.analyzer.sizing.cpu.settings import CpuSettings as CpuSettings
from stepsize.analyzer.sizing.cpu.settings import preset as preset
from stepsize.analyzer.sizing.cpu.use import cores_used as cores_used
from stepsize.analyzer.sizing.cpu.use import telling as telling
