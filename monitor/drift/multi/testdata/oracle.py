"""Writes oracle.json: what scikit-learn says about generated rows.

    pip install scikit-learn==1.9.1 numpy==2.4.6
    python oracle.py > oracle.json

The test of the package reads the file; nothing here runs in it. The
reconstruction error is NannyML's: StandardScaler, PCA that keeps 0.65 of the
variance, and the mean over the rows of the Euclidean distance.
"""
import json
import sys

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler


def rows(g, n, mix, shift=0.0):
    return np.round(g.normal(size=(n, mix.shape[0])) @ mix + shift, 4)


def main():
    g = np.random.default_rng(8)
    mix = g.normal(size=(5, 5)) * [1, 1, 0.3, 2, 0.1]
    ref, cur = rows(g, 120, mix), rows(g, 60, mix + 0.4 * g.normal(size=(5, 5)), 0.2)
    scaler = StandardScaler().fit(ref)
    pca = PCA(n_components=0.65).fit(scaler.transform(ref))
    out = {"sklearn": sklearn.__version__, "ref": ref.tolist(), "cur": cur.tolist(), "components": int(pca.n_components_),
           "kept": float(pca.explained_variance_ratio_.sum())}
    for name, x in (("ref_error", ref), ("cur_error", cur)):
        z = scaler.transform(x)
        out[name] = float(np.linalg.norm(z - pca.inverse_transform(pca.transform(z)), axis=1).mean())
    full = PCA().fit(scaler.transform(ref))
    out["variances"] = (full.explained_variance_ * (len(ref) - 1) / len(ref)).tolist()
    width = 1.7
    k = lambda a, b: rbf_kernel(a, b, gamma=1 / (2 * width**2))
    n, m = len(ref), len(cur)
    out["width"] = width
    out["mmd2"] = float((k(ref, ref).sum() - n) / (n * (n - 1)) + (k(cur, cur).sum() - m) / (m * (m - 1)) - 2 * k(ref, cur).mean())
    # The weights that the classifier finds when it is fitted to all rows.
    x = np.vstack((scaler.transform(ref), scaler.transform(cur)))
    y = np.repeat([0, 1], [n, m])
    fit = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(x, y)
    out["logistic"] = [float(fit.intercept_[0])] + fit.coef_[0].tolist()
    json.dump(out, sys.stdout, separators=(",", ":"))
    print()


main()
