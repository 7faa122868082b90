"""Writes nannyml.json: what NannyML estimates for generated predictions.

    pip install nannyml==0.13.1
    python nannyml_oracle.py > nannyml.json

The test of the package reads the file; nothing here runs in it.
"""
import json
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from nannyml.performance_estimation.confidence_based import metrics
from nannyml.sampling_error import binary_classification as errors


def main():
    g = np.random.default_rng(8)
    out = {"nannyml": version("nannyml"), "windows": []}
    for n in (20, 300):
        p = np.round(g.permutation(np.linspace(0.003, 0.997, n)), 6)
        predicted = (p >= 0.4).astype(int)
        y = (g.uniform(size=n) < p).astype(int)
        frame = pd.DataFrame({"y_pred_proba": p, "y_pred": predicted})
        estimated = {k: float(f(frame["y_pred"], frame["y_pred_proba"])) for k, f in
                     [("accuracy", metrics.estimate_accuracy), ("precision", metrics.estimate_precision), ("recall", metrics.estimate_recall),
                      ("specificity", metrics.estimate_specificity), ("f1", metrics.estimate_f1)]}
        truth, said = pd.Series(y), pd.Series(predicted)
        sampling = {k: float(getattr(errors, f"{k}_sampling_error")(getattr(errors, f"{k}_sampling_error_components")(truth, said), range(150)))
                    for k in ("accuracy", "precision", "recall", "specificity")}
        cells = [int(((y == a) & (predicted == b)).sum()) for a, b in ((1, 1), (0, 1), (1, 0), (0, 0))]
        out["windows"].append({"p": p.tolist(), "threshold": 0.4, "estimated": estimated, "auc": float(metrics.estimate_roc_auc(p, p)),
                               "cells": cells, "rows": 150, "errors": sampling})
    json.dump(out, sys.stdout, separators=(",", ":"))
    print()


main()
