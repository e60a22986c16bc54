"""Polynomial laws: dicts one by one, NumPy or scikit-learn, and delphi."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from benchmarks.timing import row, timed
from delphi import _core, compat
from delphi.compat_sweeps import LAW_COEFFICIENTS, LAW_FEATURES
from delphi.threads import thread_count


def loop_law(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """The law as a script evaluates it: a dictionary of terms for every row."""
    named = LAW_COEFFICIENTS["all_data"]
    out = []
    for given in rows:
        logs = {f"log_{name}": math.log10(float(given[name])) for name in LAW_FEATURES}
        terms = {"1": 1.0, **logs}
        for i, a in enumerate(LAW_FEATURES):
            for b in LAW_FEATURES[i:]:
                key = f"log_{a}^2" if a == b else f"log_{a} log_{b}"
                terms[key] = logs[f"log_{a}"] * logs[f"log_{b}"]
        out.append({"lm_loss": sum(named.get(name, 0.0) * v for name, v in terms.items())})
    return out


def numpy_law(table: Any) -> Any:
    """The law on an array, a column of products at a time."""
    named, x = LAW_COEFFICIENTS["all_data"], np.log10(table)
    y = np.full(len(x), named["1"])
    for i, a in enumerate(LAW_FEATURES):
        y += named[f"log_{a}"] * x[:, i]
        for j in range(i, 4):
            key = f"log_{a}^2" if i == j else f"log_{a} log_{LAW_FEATURES[j]}"
            y += named[key] * x[:, i] * x[:, j]
    return y


def main() -> None:
    """With one thread of BLAS: on matrices this small more of them only get in the way."""
    import scipy.linalg  # noqa: F401  (its BLAS must be there before it is held to one thread)
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        rows()


def rows() -> None:
    rng = np.random.default_rng(0)
    table = 10 ** rng.uniform([-4, 2, 9, 7], [-2, 4, 12, 10], (10_000, 4))
    dicts = [dict(zip(LAW_FEATURES, values, strict=True)) for values in table.tolist()]
    loop = timed(lambda: loop_law(dicts), repeats=3)
    numpy = timed(lambda: numpy_law(table))
    row("published law, 10,000 dicts", loop, numpy, timed(lambda: compat.law(dicts, "all_data")))
    row(
        "published law, 10,000 rows of an array",
        loop,
        numpy,
        timed(lambda: compat.law_values(table)),
    )

    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n, p, groups, few = 60, 15, 10_000, 20
    x = rng.normal(size=(groups * n, p))
    y = x @ rng.normal(size=p) + rng.normal(size=groups * n)
    offsets = np.arange(0, groups * n + 1, n)
    strengths = n * np.geomspace(1e-12, 1e3, 61)

    def peers() -> None:
        for g in range(few):
            part = slice(g * n, (g + 1) * n)
            make_pipeline(StandardScaler(), RidgeCV(strengths)).fit(x[part], y[part])

    def loops() -> None:
        for g in range(few):
            part = slice(g * n, (g + 1) * n)
            z = (x[part] - x[part].mean(axis=0)) / x[part].std(axis=0)
            u, s, _ = np.linalg.svd(z, full_matrices=False)
            a, c = u.T @ (y[part] - y[part].mean()), y[part] - y[part].mean()
            for strength in strengths:
                f = s**2 / (s**2 + strength)
                _ = n * ((c - u @ (f * a)) ** 2).sum() / (n - 1 - f.sum()) ** 2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sklearn = timed(peers, scale=groups / few, repeats=3)
        plain = timed(loops, scale=groups / few, repeats=3)
    for k in sorted({1, thread_count()}):
        row(
            f"10,000 ridge fits, 60 x 15, GCV, {k} thread(s)",
            plain,
            sklearn,
            timed(lambda k=k: _core.ridge_fit(x, y, offsets, n_threads=k), repeats=1),
        )


if __name__ == "__main__":
    main()
