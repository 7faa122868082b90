"""Writes oracle.json: what scikit-learn says about generated predictions.

    pip install scikit-learn==1.9.1 numpy==2.4.6
    python oracle.py > oracle.json

The test of the package reads the file; nothing here runs in it.
"""
import json
import sys

import numpy as np
import sklearn
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression


def main():
    g = np.random.default_rng(8)
    out = {"sklearn": sklearn.__version__, "isotonic": [], "confusion": [], "auc": []}
    for n, digits in [(1, 3), (12, 6), (200, 1), (300, 3)]:
        s = np.round(g.uniform(size=n), digits)
        y = g.uniform(size=n) < s**2
        fit = IsotonicRegression(out_of_bounds="clip").fit(s, y)
        at = np.concatenate((np.linspace(-0.2, 1.2, 29), s[:10]))
        out["isotonic"].append({"scores": s.tolist(), "labels": [bool(v) for v in y], "at": at.tolist(), "want": fit.predict(at).tolist()})
    for _ in range(4):
        c = [int(v) for v in g.integers(1, 200, 4)]
        y = np.repeat([1, 0, 1, 0], c)
        p = np.repeat([1, 1, 0, 0], c)
        out["confusion"].append({"cells": c, "want": {
            "accuracy": metrics.accuracy_score(y, p), "balanced_accuracy": metrics.balanced_accuracy_score(y, p),
            "precision": metrics.precision_score(y, p), "recall": metrics.recall_score(y, p),
            "specificity": metrics.recall_score(y, p, pos_label=0), "negative_predictive_value": metrics.precision_score(y, p, pos_label=0),
            "f1": metrics.f1_score(y, p), "jaccard": metrics.jaccard_score(y, p),
            "matthews_correlation": metrics.matthews_corrcoef(y, p), "cohens_kappa": metrics.cohen_kappa_score(y, p)},
            "fbeta2": metrics.fbeta_score(y, p, beta=2)})
    for n, digits in [(50, 1), (400, 6)]:
        # The expected area is the one in which each row is there twice.
        p = np.round(g.uniform(size=n), digits)
        y = np.repeat([1, 0], n)
        out["auc"].append({"p": p.tolist(), "want": metrics.roc_auc_score(y, np.tile(p, 2), sample_weight=np.concatenate((p, 1 - p)))})
    json.dump(out, sys.stdout, separators=(",", ":"), default=float)
    print()


main()
