"""Metrics: special values, latest, identity, and a history of several pages."""

import math

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric


def play(t):
    c = MlflowClient()
    exp = mlflow.set_experiment("metrics").experiment_id
    t.name(exp, "experiment metrics")
    run = t.name(c.create_run(exp, run_name="metrics").info.run_id, "run metrics")
    at = 1700000000000
    for key, value in {"nan": math.nan, "inf": math.inf, "minus inf": -math.inf, "big": 1.7e308, "tiny": 5e-324, "minus zero": -0.0, "whole": 3, "exact": 0.1 + 0.2}.items():
        t.step(f"log {key}", lambda: c.log_metric(run, key, value, timestamp=at, step=0))
        t.step(f"history {key}", lambda: c.get_metric_history(run, key))
    t.step("latest of all", lambda: c.get_run(run).data.metrics)
    t.step("history of none", lambda: c.get_metric_history(run, "none"))
    t.step("history of unknown run", lambda: c.get_metric_history("0" * 32, "none"))

    c.log_batch(run, [
        Metric("latest", 1.0, at, 5), Metric("latest", 9.0, at + 9, 4), Metric("latest", 2.0, at + 1, 5), Metric("latest", 3.0, at + 1, 5), Metric("latest", 0.0, at + 99, -3),
        Metric("same", 1.0, at, 1), Metric("same", 1.0, at, 1), Metric("same", 2.0, at, 1), Metric("nan wins", math.nan, at, 1), Metric("nan wins", -1.0, at, 1), Metric("nan loses", math.nan, at, 1), Metric("nan loses", 1.0, at, 1),
    ])
    for key in ("latest", "same", "nan wins", "nan loses"):
        t.step(f"latest {key}", lambda: c.get_run(run).data.metrics[key])
        t.step(f"history {key}", lambda: c.get_metric_history(run, key))
    t.step("negative step", lambda: c.log_metric(run, "steps", 1.0, timestamp=at, step=-7))
    t.step("large step", lambda: c.log_metric(run, "steps", 1.0, timestamp=at, step=2**62))
    t.step("history steps", lambda: c.get_metric_history(run, "steps"))

    # 26 batches of 1,000 are one page of the client, and a little.
    long = t.name(c.create_run(exp, run_name="long").info.run_id, "run long")
    for b in range(26):
        c.log_batch(long, [Metric("long", (i * 7919 % 1000) / 8, at + i, i) for i in range(b * 1000, b * 1000 + 1000)])

    def history():
        points = c.get_metric_history(long, "long")
        ordered = all((a.timestamp, a.step) < (b.timestamp, b.step) for a, b in zip(points, points[1:]))
        return {"points": len(points), "ordered": ordered, "sum": sum(p.value for p in points), "first": points[0], "last": points[-1]}

    t.step("long history", history)
    t.step("long latest", lambda: c.get_run(long).data.metrics)
    other = t.name(c.create_run(exp, run_name="other").info.run_id, "run other")
    c.log_batch(other, [Metric("long", float(i), at + i, i) for i in range(30000, 30500)])
    t.http("page of history", "GET", f"/api/2.0/mlflow/metrics/get-history?run_id={long}&metric_key=long&max_results=3", show=lambda b: [b["metrics"], bool(b.get("next_page_token"))])
    t.http("bad token", "GET", f"/api/2.0/mlflow/metrics/get-history?run_id={long}&metric_key=long&max_results=3&page_token=bad")
    for n, query in {
        "sampled": f"run_ids={long}&metric_key=long&max_results=10", "sampled two": f"run_ids={long}&run_ids={other}&metric_key=long&max_results=5",
        "sampled range": f"run_ids={long}&metric_key=long&start_step=100&end_step=200&max_results=4", "sampled few": f"run_ids={other}&metric_key=long&max_results=2500",
        "sampled none": f"run_ids={long}&metric_key=none&max_results=10", "sampled unknown run": f"run_ids={'0' * 32}&metric_key=long&max_results=10",
        "sampled too many": f"run_ids={long}&metric_key=long&max_results=2501", "sampled zero": f"run_ids={long}&metric_key=long&max_results=0",
        "sampled half range": f"run_ids={long}&metric_key=long&start_step=100", "sampled wrong range": f"run_ids={long}&metric_key=long&start_step=100&end_step=50",
        "sampled without run": "metric_key=long", "sampled without key": f"run_ids={long}",
    }.items():
        t.http(n, "GET", f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{query}", show=lambda b: [len(b.get("metrics", [])), b.get("metrics", [])[:12], b.get("metrics", [])[-3:]])
    t.http("special values on the wire", "GET", f"/api/2.0/mlflow/runs/get?run_id={run}", show=lambda b: sorted((m["key"], m["value"]) for m in b["run"]["data"]["metrics"]))
