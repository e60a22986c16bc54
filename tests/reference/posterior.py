"""Slow twin of the posterior: one dense grid over (power, alpha, L_inf), everything else exact."""

from __future__ import annotations

import numpy as np


def quantiles(
    C, y, at, levels, *, noise=0.0, noise_dof=0.0, alpha_range=(0.01, 1.5), powers=(0.0,),
    power_weights=(1.0,), n_alpha=1200, n_floor=1200, n_draws=40_000,
):  # fmt: skip
    """Quantiles of the loss at compute `at`, from grid weights and exact draws of the amplitude."""
    C, y = np.asarray(C, float), np.asarray(y, float)
    x = np.log(C / C.max())
    edges = np.exp(np.linspace(*np.log(alpha_range), n_alpha + 1))
    alpha = np.sqrt(edges[1:] * edges[:-1])[:, None, None]
    L = (y.min() * (np.arange(n_floor) + 0.5) / n_floor)[None, :, None]
    extra = noise_dof if noise > 0 else 0.0
    dof = len(C) - 1 + extra
    rng = np.random.default_rng(1)
    logs, parts = [], []
    for power, prior in zip(powers, power_weights, strict=True):
        w, e = np.exp(power * x), np.exp(-alpha * x)
        see = (w * e * e).sum(-1)
        B = (w * e * (y - L)).sum(-1) / see
        S = (w * (y - L - B[..., None] * e) ** 2).sum(-1) + extra * noise**2
        log_p = np.log(prior) - dof / 2 * np.log(S) - np.log(see) / 2 + 0.5 * power * x.sum()
        logs.append(log_p.ravel())
        parts.append((np.broadcast_to(see, S.shape).ravel(), B.ravel(), S.ravel()))
    weight = np.exp(np.concatenate(logs) - max(part.max() for part in logs))
    see, B, S = (np.concatenate([part[i] for part in parts]) for i in range(3))
    grid_alpha = np.tile(np.repeat(alpha.ravel(), n_floor), len(powers))
    grid_L = np.tile(np.tile(L.ravel(), n_alpha), len(powers))
    cell = rng.choice(len(weight), size=n_draws, p=weight / weight.sum())
    amplitude = B[cell] + np.sqrt(S[cell] / dof / see[cell]) * rng.standard_t(dof, n_draws)
    loss = grid_L[cell] + amplitude * np.exp(-grid_alpha[cell] * np.log(at / C.max()))
    return np.quantile(loss, levels)
