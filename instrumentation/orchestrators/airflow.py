"""What Airflow's own names tell. A table and nothing else: Metaflow's tasks on Airflow go by it too."""

from stepsize.identity import Origin

RUN_ORIGINS = {
    "scheduled__": Origin.SCHEDULE,
    "backfill__": Origin.SCHEDULE,
    "manual__": Origin.ADHOC,
    "dataset_triggered__": Origin.EVENT,
    "asset_triggered__": Origin.EVENT,
}
"""What the ids of Airflow's runs begin with, and where such a run came from.

Source: airflow/utils/types.py, ``DagRunType``.
"""
