"""Writes oracle.json: what SciPy and statsmodels say about generated counts.

    pip install scipy==1.17.1 numpy==2.4.6 statsmodels==0.15.0
    python oracle.py > oracle.json

The tests of the package read the file; nothing here runs in them. (scipy.json,
beside it, was made by SciPy 1.17.1 and mpmath in the same way.)
"""
import json
import sys

import numpy as np
import scipy
from scipy import stats
from scipy.stats import _hypotests
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest


def main():
    g = np.random.default_rng(8)
    out = {"scipy": scipy.__version__, "student": [], "chi2_isf": [], "fits": [], "binary": [], "multiple": [], "means": []}
    for df in (1, 2.5, 14, 300, 1e7):
        for t in (1e-3, 0.1, 1, 2.5, 8, 60):
            out["student"].append([df, t, 2 * stats.t.sf(t, df)])
    for df in (1, 4, 9, 63, 1000):
        for a in (0.5, 0.05, 1e-4, 1e-12):
            out["chi2_isf"].append([df, a, stats.chi2.isf(a, df)])
    for bins in (2, 5, 30):
        for rows in (300, 5000):
            p = g.dirichlet(np.full(bins, 50))
            ref, cur = g.multinomial(4000, p), g.multinomial(rows, p)
            expected = ref / ref.sum() * rows
            table = np.array([ref, cur])
            c = {"ref": ref.tolist(), "cur": cur.tolist()}
            assert expected.min() >= 5
            c["gof"] = list(stats.chisquare(cur, expected))
            c["gof_g"] = list(stats.power_divergence(cur, expected, lambda_="log-likelihood"))
            c["chi2"] = list(stats.chi2_contingency(table, correction=False)[:2])
            c["g"] = list(stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")[:2])
            out["fits"].append(c)
    for n, m, p, q in [(10, 6, 0.2, 0.8), (1, 1, 0.5, 0.5), (50, 70, 0.1, 0.3), (2000, 30, 0.02, 0.1), (5000, 4000, 0.5, 0.52), (300, 300, 0.01, 0.2)]:
        a, b = int(g.binomial(n, p)), int(g.binomial(m, q))
        z = proportions_ztest([a, b], [n, m]) if 0 < a + b < n + m else (0.0, 1.0)
        out["binary"].append({"ref": [n - a, a], "cur": [m - b, b], "z": [abs(z[0]), z[1]],
                              "fisher": stats.fisher_exact([[n - a, a], [m - b, b]])[1]})
    for size in (1, 2, 15, 60):
        p = g.uniform(size=size) ** 3
        out["multiple"].append({"p": p.tolist(), **{k: multipletests(p, method=m)[1].tolist() for k, m in
                                                     [("bh", "fdr_bh"), ("by", "fdr_by"), ("holm", "holm"), ("bonferroni", "bonferroni")]}})
    for n, m, s in [(5, 9, 2), (200, 40, 0.3)]:
        x, y = g.normal(3, 1, n), g.normal(3.4, s, m)
        out["means"].append({"ref": [n, x.mean(), x.var(ddof=1)], "cur": [m, y.mean(), y.var(ddof=1)],
                             "student": list(stats.ttest_ind(x, y)), "welch": list(stats.ttest_ind(x, y, equal_var=False))})
    out["omega"] = [[x, 1 - _hypotests._cdf_cvm_inf(x)] for x in np.array([0.01, 0.05, 0.2, 0.46136, 1.2])]
    json.dump(out, sys.stdout, separators=(",", ":"), default=float)
    print()


main()
