"""Writes oracle.json: what SciPy says about generated columns.

    pip install scipy==1.17.1 numpy==2.4.6
    python oracle.py > oracle.json

The test of the package reads the file; nothing here runs in it. A number as
the argument is the seed of other columns, which internal/inttest asks for.
"""
import json
import sys
import warnings

import numpy as np
import scipy
from scipy import special, stats


warnings.simplefilter("ignore")  # That the table for Anderson-Darling ends.


def case(name, r, c):
    r, c = np.asarray(r, float), np.asarray(c, float)
    n, m = len(r), len(c)
    tied = len(np.unique(np.concatenate((r, c)))) < n + m
    out = {"name": name, "ref": r.tolist(), "cur": c.tolist(), "tied": tied}
    d = stats.ks_2samp(r, c, method="asymp").statistic
    out["ks"] = [d, special.kolmogorov(d * np.sqrt(n * m / (n + m)))]
    if n * m <= 10_000 and not tied:
        out["ks"][1] = stats.ks_2samp(r, c, method="exact").pvalue
    elif n * m <= 10_000:
        # The conditional law, which SciPy has only by going through all ways.
        out["ks"][1] = None
        if n + m <= 14 and len(sys.argv) == 1:
            out["ks"][1] = permuted(r, c)
    if not tied:
        method = "exact" if max(n, m) <= 20 else "asymptotic"
        v = stats.cramervonmises_2samp(r, c, method=method)
        out["cvm"] = [v.statistic, v.pvalue]
    out["ad"] = [stats.anderson_ksamp([r, c], variant=v).statistic for v in ("midrank", "right")]
    out["ad_p"] = stats.anderson_ksamp([r, c], variant="midrank").pvalue
    method = "exact" if n * m <= 1000 and not tied else "asymptotic"
    v = stats.mannwhitneyu(r, c, method=method)
    out["mw"] = [abs(2 * v.statistic / (n * m) - 1), v.pvalue]
    out["w1"] = stats.wasserstein_distance(r, c)
    out["energy"] = stats.energy_distance(r, c)
    v = stats.epps_singleton_2samp(r, c)
    out["es"] = [v.statistic, v.pvalue]
    v = stats.ttest_ind(r, c)
    out["t"] = [abs(v.statistic), v.pvalue]
    v = stats.ttest_ind(r, c, equal_var=False)
    out["welch"] = [abs(v.statistic), v.pvalue]
    out["sd"] = max(float(np.std(r)), 1e-3)
    return out


def permuted(r, c):
    def statistic(x, y):
        return stats.ks_2samp(x, y, method="asymp").statistic

    v = stats.permutation_test((r, c), statistic, vectorized=False, n_resamples=np.inf, alternative="greater")
    return v.pvalue


def main():
    g = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
    cases = [case("evidently", [38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0], [39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8])]
    for n, m, shift in [(5, 5, 0), (5, 9, 1), (12, 7, 0.5), (20, 20, 0.3), (19, 20, 1), (25, 8, 0), (31, 33, 0.5), (60, 40, 0.2), (100, 100, 0), (150, 70, 0.3), (400, 90, 0.1)]:
        cases.append(case(f"normal {n} {m}", g.normal(size=n), g.normal(shift, 1.2, size=m)))
    for n, m in [(7, 7), (6, 8), (30, 40), (120, 100)]:
        cases.append(case(f"rounded {n} {m}", np.round(g.normal(size=n) * 2), np.round(g.normal(0.4, 1, size=m) * 2)))
    cases.append(case("heavy", g.standard_cauchy(50), g.standard_cauchy(80) * 2))
    cases.append(case("lognormal", g.lognormal(0, 2, 200), g.lognormal(0.3, 2, 150)))
    weighted = []
    for n, m in [(3, 4), (40, 30)]:
        r, c, rw, cw = g.normal(size=n), g.normal(size=m), g.uniform(0, 3, n), g.uniform(0, 3, m)
        weighted.append({"ref": r.tolist(), "cur": c.tolist(), "ref_weights": rw.tolist(), "cur_weights": cw.tolist(),
                         "w1": stats.wasserstein_distance(r, c, rw, cw), "energy": stats.energy_distance(r, c, rw, cw)})
    json.dump({"scipy": scipy.__version__, "cases": cases, "weighted": weighted}, sys.stdout, separators=(",", ":"))
    print()


main()
