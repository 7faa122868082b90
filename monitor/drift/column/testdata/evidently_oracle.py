"""Writes evidently.json: what Evidently's tests say about generated columns.

    pip install evidently==0.7.21 pandas==2.2.3
    python evidently_oracle.py > evidently.json

The test of the package reads the file; nothing here runs in it. Evidently bins
numbers by the window that it looks at, so its measures of bins are taken on
categories, where both have the same ones.
"""
import json
import sys
import warnings

import numpy as np
import pandas as pd
from evidently.legacy.calculations import stattests as s
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType

warnings.simplefilter("ignore")


def score(name, ref, cur, kind):
    ref, cur = pd.Series(ref), pd.Series(cur)
    return float(get_stattest(ref, cur, kind, name).func(ref, cur, kind, 0.05)[0])


def main():
    g = np.random.default_rng(8)
    out = {"evidently": "0.7.21", "numbers": [], "categories": [], "binary": []}
    for n, m, shift in [(40, 40, 0.3), (150, 60, 0.5)]:
        r, c = g.normal(3, 2, n).round(6).tolist(), g.normal(3 + shift, 2.2, m).round(6).tolist()
        names = ("ks", "wasserstein", "cramer_von_mises", "ed", "es", "t_test")
        out["numbers"].append({"ref": r, "cur": c, "want": {k: score(k, r, c, ColumnType.Numerical) for k in names}})
    for n, m in [(400, 400), (900, 200)]:
        p = np.array([0.4, 0.3, 0.2, 0.1])
        r, c = np.sort(g.choice(4, n, p=p)), np.sort(g.choice(4, m, p=p[::-1] * 0.2 + p * 0.8))
        want = {k: score(k, [f"c{v}" for v in r], [f"c{v}" for v in c], ColumnType.Categorical) for k in ("psi", "kl_div", "jensenshannon", "hellinger", "chisquare")}
        out["categories"].append({"ref": np.bincount(r).tolist(), "cur": np.bincount(c).tolist(), "want": want})
    r, c = g.binomial(1, 0.2, 300), g.binomial(1, 0.3, 300)
    want = {k: score(k, r, c, ColumnType.Categorical) for k in ("z", "fisher_exact")}
    out["binary"].append({"ref": np.bincount(r).tolist(), "cur": np.bincount(c).tolist(), "want": want})
    json.dump(out, sys.stdout, separators=(",", ":"))
    print()


main()
