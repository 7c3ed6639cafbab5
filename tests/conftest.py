"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

from stepsize.instrumentation.lifetime import ENDING_HOSTS

ORCHESTRATORS = (
    *(
        "AIRFLOW_CTX_",
        "ARGO_",
        "AWS_BATCH_",
        "CI_",
        "DAGSTER_",
        "FLYTE_",
        "GITHUB_",
        "KFP_",
        "MF_",
        "NXF_",
        "PREFECT__",
    ),
    *("SLURM_", "STEPSIZE_TRACKED", "TOWER_"),
)
"""What their variables begin with."""

# Where tests run in somebody's CI or pod, what they start is no task of it: each test says itself where its tasks run.
for _name, _ in ENDING_HOSTS:
    os.environ.pop(_name, None)
for _name in [name for name in os.environ if name.startswith(ORCHESTRATORS)]:
    del os.environ[_name]

# A shared machine stalls now and then: an example that took long is no failure.
settings.register_profile("shared", deadline=None)
settings.register_profile("gate", deadline=None, derandomize=True)  # says the same of the same code each time
settings.register_profile("deep", deadline=None, max_examples=2000)
settings.load_profile("shared")
