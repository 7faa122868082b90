"""Writes river.json: where River's detectors see changes in generated series.

    pip install river==0.26.1 numpy==2.4.6
    python oracle.py > river.json

The test of the package reads the file; nothing here runs in it.
"""
import json
import sys

import numpy as np
import river
from river import drift


def bits():
    np.random.seed(12345)
    yield "vector b", np.concatenate((np.random.binomial(1, 0.2, 1000), np.random.binomial(1, 0.8, 1000)))
    g = np.random.default_rng(3)
    for i in range(4):
        rates = g.uniform(0.02, 0.5, 6)
        yield f"bits {i}", np.concatenate([g.binomial(1, p, 500) for p in rates])
    slope = np.linspace(0.05, 0.4, 4000)
    yield "slope", g.binomial(1, slope)
    yield "rare", g.binomial(1, 0.01, 3000)


def numbers():
    np.random.seed(12345)
    yield "vector a", np.concatenate((np.random.randint(2, size=1000), np.random.randint(8, size=1000))).astype(float)
    g = np.random.default_rng(4)
    for i in range(3):
        yield f"means {i}", np.concatenate([np.round(g.normal(m, 1, 400), 3) for m in g.normal(0, 0.8, 6)])
    yield "spread", np.round(np.concatenate((g.normal(0, 1, 800), g.normal(0, 3, 800))), 3)


def run(detector, series, renew=None):
    drifts, warnings = [], []
    for i, x in enumerate(series):
        detector.update(x)
        if detector.drift_detected:
            drifts.append(i)
            if renew:
                detector = renew(detector)
        elif getattr(detector, "warning_detected", False):
            warnings.append(i)
    # The warnings are many: how many, and the sum of their places.
    return {"drifts": drifts, "warnings": [len(warnings), sum(warnings)]}


def kswin(**options):
    """KSWIN that keeps its newest values after a change, as the paper does. A
    window of twice the newest part leaves nothing to chance."""
    return lambda old=None: drift.KSWIN(window_size=60, stat_size=30, seed=1, window=list(old.window) if old else None, **options)


def main():
    out = {"river": river.__version__, "series": []}
    b = drift.binary
    for name, s in bits():
        s = [int(x) for x in s]
        results = {"ddm": run(b.DDM(), s), "eddm": run(b.EDDM(), s), "hddm_a": run(b.HDDMA(), s), "hddm_w": run(b.HDDMW(), s),
                   "ddm tight": run(b.DDM(warm_start=100, warning_threshold=1, drift_threshold=2), s),
                   "eddm loose": run(b.EDDM(warm_start=10, alpha=0.8, beta=0.75), s),
                   "hddm_a two": run(b.HDDMA(drift_confidence=0.01, warning_confidence=0.05, two_sided_test=True), s),
                   "hddm_w two": run(b.HDDMW(drift_confidence=0.01, warning_confidence=0.05, lambda_val=0.1, two_sided_test=True), s),
                   "adwin": run(drift.ADWIN(), s)}
        out["series"].append({"name": name, "bits": "".join(map(str, s)), "results": results})
    for name, s in numbers():
        s = [float(x) for x in s]
        results = {"adwin": run(drift.ADWIN(), s), "adwin eager": run(drift.ADWIN(delta=0.05, clock=4, max_buckets=3, min_window_length=2, grace_period=40), s),
                   "page_hinkley": run(drift.PageHinkley(), s), "page_hinkley up": run(drift.PageHinkley(mode="up", threshold=20, delta=0.1, alpha=0.99, min_instances=10), s),
                   "page_hinkley down": run(drift.PageHinkley(mode="down", threshold=30), s)}
        if "vector" not in name:  # River's p-value takes no ties into account.
            results["kswin"] = run(kswin()(), s, kswin())
        out["series"].append({"name": name, "numbers": s, "results": results})
    json.dump(out, sys.stdout, separators=(",", ":"))
    print()


main()
