"""What a fitted L(N, D) surface implies: compute-optimal points and exponents, for many laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

__all__ = ["exponents_of", "gradient", "loss_of", "optimum_of", "tokens_of"]

Array = NDArray[np.float64]
Laws = Mapping[str, Array]  # columns E, N_term, D_term, alpha, beta, N_centre, D_centre
Flops = float | Callable[[Any, Any], Any]

INTERNAL = ("E", "N_term", "D_term", "alpha", "beta")
_DECADES = 6.0  # searched to each side of the optimum that C = 6 N D would have
_SCAN = 97
_STEPS = 50
_DIFFERENCE = 1e-5  # of ln N and ln D, for derivatives of a caller's function
_BISECTIONS = 90
_LN_TOKENS = (0.0, 100.0)  # where a budget's tokens are looked for


def _term(amount: Array, exponent: Array, log_ratio: Array) -> Array:
    """One power-law term; an amount of 0 has no exponent and adds nothing."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(amount == 0, 0.0, amount * np.exp(-exponent * log_ratio))


def loss_of(laws: Laws, N: Array, D: Array) -> Array:
    """Loss of each law at N and D; everything broadcasts."""
    return (
        laws["E"]
        + _term(laws["N_term"], laws["alpha"], np.log(N) - np.log(laws["N_centre"]))
        + _term(laws["D_term"], laws["beta"], np.log(D) - np.log(laws["D_centre"]))
    )


def tokens_of(laws: Laws, loss: Array, N: Array) -> Array:
    """Tokens at which each law reaches a loss with N params; NaN where it never does."""
    at_N = np.log(N) - np.log(laws["N_centre"])
    with np.errstate(invalid="ignore", divide="ignore"):
        left = loss - laws["E"] - _term(laws["N_term"], laws["alpha"], at_N)
        ratio = np.where(left > 0, laws["D_term"] / left, np.nan)
        return laws["D_centre"] * ratio ** (1 / laws["beta"])


def exponents_of(laws: Laws) -> Array:
    """Exponents of N*, D* and of the reducible loss in compute, last axis, for C ~ N D."""
    alpha, beta = laws["alpha"], laws["beta"]
    total = alpha + beta
    return np.stack((beta / total, alpha / total, alpha * beta / total), axis=-1)


def optimum_of(laws: Laws, C: Array, flops: Flops = 6.0) -> tuple[Array, Array, Array]:
    """Params, tokens and loss at the lowest loss each law has for each compute.

    laws of shape (..., 1) and C of shape (n,) broadcast. For flops = k the optimum on C = k N D has
    a closed form; a function flops(N, D), growing in both, is searched.
    """
    k = flops if not callable(flops) else 6.0
    reach = np.log(C / k) - np.log(laws["N_centre"]) - np.log(laws["D_centre"])
    a, b, alpha, beta = (laws[name] for name in ("N_term", "D_term", "alpha", "beta"))
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (np.log(alpha * a / (beta * b)) + beta * reach) / (alpha + beta)
    log_N = u + np.log(laws["N_centre"])
    if callable(flops):
        log_N, log_D = _search(laws, np.asarray(C, float), flops, log_N)
    else:
        log_D = np.log(C / k) - log_N
    N, D = np.exp(log_N), np.exp(log_D)
    return N, D, loss_of(laws, N, D)


def _log_tokens(flops: Callable[[Any, Any], Any], C: Array, log_N: Array) -> Array:
    """ln D with flops(N, D) = C, by bisection; NaN where even one token costs more."""
    low = np.full(np.broadcast(C, log_N).shape, _LN_TOKENS[0])
    high = np.full_like(low, _LN_TOKENS[1])
    N = np.broadcast_to(np.exp(log_N), low.shape)

    def cost(log_D: Array) -> Array:
        value = np.asarray(flops(N, np.exp(log_D)), float)
        if value.shape != low.shape:
            raise DataError(f"flops: expected an array of shape {low.shape}, got {value.shape}")
        return value

    possible = (cost(low) <= C) & (cost(high) >= C)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        below = cost(middle) < C
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(possible, (low + high) / 2, np.nan)


def _slope(laws: Laws, C: Array, flops: Callable[[Any, Any], Any], log_N: Array) -> Array:
    """Derivative of the loss by ln N along flops(N, D) = C; nan counts as not rising."""
    log_D = _log_tokens(flops, C, log_N)
    N, D, h = np.exp(log_N), np.exp(log_D), _DIFFERENCE
    by_N = np.asarray(flops(N * np.exp(h), D)) - np.asarray(flops(N * np.exp(-h), D))
    by_D = np.asarray(flops(N, D * np.exp(h))) - np.asarray(flops(N, D * np.exp(-h)))
    left = _term(laws["N_term"], laws["alpha"], log_N - np.log(laws["N_centre"]))
    right = _term(laws["D_term"], laws["beta"], log_D - np.log(laws["D_centre"]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return -laws["alpha"] * left + laws["beta"] * right * by_N / by_D


def _search(
    laws: Laws, C: Array, flops: Callable[[Any, Any], Any], start: Array
) -> tuple[Array, Array]:
    """ln N and ln D of the lowest loss on flops(N, D) = C: a scan, then the root of the slope."""

    def height(log_N: Array) -> Array:
        log_D = _log_tokens(flops, C, log_N)
        loss = loss_of(laws, np.exp(log_N), np.exp(log_D))
        return np.where(np.isnan(loss), np.inf, loss)

    half = _DECADES * np.log(10)
    best, lowest = start, np.full(start.shape, np.inf)
    edge = np.ones(start.shape, bool)
    shifts = np.linspace(-half, half, _SCAN)
    for i, shift in enumerate(shifts):
        value = height(start + shift)
        better = value < lowest
        best, lowest = np.where(better, start + shift, best), np.where(better, value, lowest)
        edge = np.where(better, i in (0, _SCAN - 1), edge)
    step = shifts[1] - shifts[0]
    low, high = best - step, best + step
    for _ in range(_STEPS):
        middle = (low + high) / 2
        rising = _slope(laws, C, flops, middle) > 0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    log_N = np.where(edge, np.nan, (low + high) / 2)
    return log_N, _log_tokens(flops, C, log_N)


def gradient(function: Callable[[Laws], Array], law: Laws, free: NDArray[np.bool_]) -> Array:
    """Derivatives of function(law) by the five internal parameters, first axis; central.

    Those that are not free have a derivative of 0.
    """
    base = {name: np.asarray(value, float) for name, value in law.items()}
    rows = []
    for name, moves in zip(INTERNAL, free, strict=True):
        if not moves:
            rows.append(np.zeros_like(function(base)))
            continue
        h = 1e-5 * max(abs(float(base[name])), 1e-8)
        up, down = ({**base, name: base[name] + s * h} for s in (1, -1))
        rows.append((function(up) - function(down)) / (2 * h))
    return np.stack(rows)
