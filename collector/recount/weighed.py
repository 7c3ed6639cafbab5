"""What depends on when each sample was taken: rates over time, and what devices show at one moment.

What comes in: samples of the metrics `WEIGHED`, with their deployment. What goes out: expressions. Evaluates nothing.

A sample of a rate holds for the time since the one before it, at most `MAX_GAP_NS`; the first for the time since the
attempt began (`rollup.attempt.Rate`).
"""

from __future__ import annotations

import ibis

from stepsize import model
from stepsize.collector.recount.stored import said
from stepsize.collector.recount.whose import KEY, rounded
from stepsize.collector.rollup.attempt import MAX_GAP_NS, USUAL_INTERVAL_NS
from stepsize.model import CPU_BUCKET_MAX, CPU_BUCKET_MIN, CPU_BUCKETS_PER_OCTAVE, Attr

WEIGHED = (
    model.TASK_CPU_USAGE.name,
    model.TASK_NETWORK_IO_RATE.name,
    model.TASK_GPU_UTILIZATION.name,
    model.TASK_GPU_MEMORY_USAGE.name,
)
_NS = 10**9
_DEVICES = {"gpu_busy": model.TASK_GPU_UTILIZATION.name, "gpu_memory": model.TASK_GPU_MEMORY_USAGE.name}


def cores(samples: ibis.Table, heard: ibis.Table) -> ibis.Table:
    """By attempt and ``bucket`` of cores the ``seconds`` in it, and the core seconds (``total``)."""
    used = samples.filter(samples.metric == model.TASK_CPU_USAGE.name).select(*KEY, "time", "value")
    weighed = _weighed(used, KEY, heard)
    octaves = ibis.greatest(weighed.value, _upper_edge(ibis.literal(CPU_BUCKET_MIN))).log2()
    bucket = ibis.least((octaves * CPU_BUCKETS_PER_OCTAVE).ceil(), CPU_BUCKET_MAX).cast("int16")
    return weighed.group_by(*KEY, bucket=bucket).agg(
        seconds=weighed.seconds.sum(), total=(weighed.value * weighed.seconds).sum()
    )


def histograms(spent: ibis.Table) -> ibis.Table:
    """The histogram of :func:`cores` by attempt, the cores that were enough for 95 % of the time, and core seconds."""
    upto = ibis.window(group_by=KEY, order_by="bucket", preceding=None, following=0)
    running = spent.mutate(
        passed=spent.seconds.sum().over(upto), whole=spent.seconds.sum().over(ibis.window(group_by=KEY))
    )
    enough = running.passed * (20 * 10**12) >= running.whole * (19 * (10**12 - 1))  # 95 %, but for the rounding of sums
    part = ibis.struct({"bucket": running.bucket, "seconds": running.seconds})
    return running.group_by(*KEY).agg(
        cpu_enough=_upper_edge(running.bucket).min(where=enough),
        cpu_histogram=part.collect(),
        cpu_sampled_s=running.total.sum(),
    )


def network(samples: ibis.Table, heard: ibis.Table) -> ibis.Table:
    """Bytes that the task itself received and sent; traffic of everybody on the host says nothing of it."""
    found = samples.filter(samples.metric == model.TASK_NETWORK_IO_RATE.name)
    found = found.mutate(direction=said(found.attributes, "network.io.direction"))
    found = found.filter(said(found.attributes, Attr.SCOPE).fill_null("") != "host")
    weighed = _weighed(found.select(*KEY, "direction", "time", "value"), (*KEY, "direction"), heard)
    moved = weighed.value * weighed.seconds
    rows = weighed.group_by(*KEY).agg(
        received=moved.sum(where=weighed.direction == "receive"), sent=moved.sum(where=weighed.direction == "transmit")
    )
    return rows.select(*KEY, net_received_bytes=rounded(rows.received), net_sent_bytes=rounded(rows.sent))


def devices(samples: ibis.Table) -> ibis.Table:
    """Of what was sent by device the sum over devices by moment: mean and highest; most devices in use at once."""
    found = samples.filter(samples.metric.isin(tuple(_DEVICES.values())))
    found = found.mutate(device=said(found.attributes, "hw.id"))
    found = found.filter(found.device.notnull())
    each = found.group_by(*KEY, "metric", "time", "device").agg(value=found.value.max())
    moments = each.group_by(*KEY, "metric", "time").agg(value=each.value.sum())
    figures = {}
    for name, metric in _DEVICES.items():
        of_it = moments.metric == metric
        figures[f"{name}_summed_mean"] = moments.value.mean(where=of_it)
        figures[f"{name}_summed_highest"] = moments.value.max(where=of_it)
    levels = moments.group_by(*KEY).agg(**figures)
    in_use = each.group_by(*KEY, "time", "device").agg(is_used=(each.value > 0).any())
    at_once = in_use.group_by(*KEY, "time").agg(count=in_use.is_used.cast("int64").sum())
    most = at_once.group_by(*KEY).agg(gpus_at_once=at_once["count"].max().cast("float64"))
    return levels.left_join(most, list(KEY)).select(*KEY, *figures, "gpus_at_once")


def _upper_edge(bucket: ibis.Value) -> ibis.Value:
    """The most cores of a bucket, see `model.cpu_bucket_upper`."""
    return ibis.literal(2).cast("float64").pow(bucket / CPU_BUCKETS_PER_OCTAVE)


def _weighed(samples: ibis.Table, series: tuple[str, ...], heard: ibis.Table) -> ibis.Table:
    """Samples with the ``seconds`` that each holds for; those of the moment of the one before hold for none."""
    window = ibis.window(group_by=series, order_by=["time", "value"])
    after = samples.mutate(before=samples.time.lag().over(window))
    first = after.filter(after.before.isnull()).left_join(heard.select(*KEY, "first_ns"), list(KEY))
    since_start = ibis.least(first.time - first.first_ns, MAX_GAP_NS)
    held = ibis.ifelse(first.time > first.first_ns, since_start, USUAL_INTERVAL_NS) / _NS
    first = first.select(*series, "value", seconds=held)
    later = after.filter(after.time > after.before)
    later = later.select(*series, "value", seconds=ibis.least(later.time - later.before, MAX_GAP_NS) / _NS)
    return first.union(later)
