"""What a fitted L(N, D) surface implies: compute-optimal points and exponents, for many laws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

__all__ = ["bracketed_root", "exponents_of", "gradient", "loss_of", "optimum_of", "tokens_of"]

Array = NDArray[np.float64]
Laws = Mapping[str, Array]  # columns E, N_term, D_term, alpha, beta, N_centre, D_centre
Flops = float | Callable[[Any, Any], Any]

INTERNAL = ("E", "N_term", "D_term", "alpha", "beta")
_DECADES = 6.0  # searched to each side of the optimum that C = 6 N D would have
_SCAN = 97
_CHUNK = 1 << 20  # numbers of a scan at a time
_DIFFERENCE = 1e-4  # of ln N and ln D, for derivatives of a caller's function
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


def bracketed_root(
    function: Callable[[Array], Array], low: Array, high: Array, *, enough: float, most: int = 100
) -> Array:
    """Where a rising function crosses 0 between low and high, elementwise (Illinois).

    The false-position rule halves the value of an end that stays, and every fourth step bisects, so
    that values of any size, infinities too, are safe. It stops at values below `enough`.
    """
    low, high = low.copy(), high.copy()
    at_low, at_high = function(low), function(high)
    best, least = high.copy(), np.full(low.shape, np.inf)
    stayed = np.zeros(low.shape, int)
    for step in range(most):
        middle = (low + high) / 2
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            x = high - at_high * (high - low) / (at_high - at_low)
        inside = (x > low) & (x < high) & (step % 4 != 3)
        x = np.where(inside, x, middle)
        value = function(x)
        size = np.where(np.isnan(value), np.inf, np.abs(value))
        best, least = np.where(size < least, x, best), np.fmin(size, least)
        below = value < 0
        at_high = np.where(below, np.where(stayed == 1, at_high / 2, at_high), value)
        at_low = np.where(below, value, np.where(stayed == -1, at_low / 2, at_low))
        low, high = np.where(below, x, low), np.where(below, high, x)
        stayed = np.where(below, 1, -1)
        if np.all((least <= enough) | (high - low <= 4e-16 * np.abs(high)) | np.isnan(value)):
            break
    return best


def _log_cost(flops: Callable[[Any, Any], Any], log_N: Array, log_D: Array) -> Array:
    """ln of a caller's FLOPs at arrays of one shape."""
    value = np.asarray(flops(np.exp(log_N), np.exp(log_D)), float)
    if value.shape != log_D.shape:
        raise DataError(f"flops: expected an array of shape {log_D.shape}, got {value.shape}")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(value)


def _log_tokens(flops: Callable[[Any, Any], Any], C: Array, log_N: Array) -> Array:
    """ln D with flops(N, D) = C; NaN where even one token costs more."""
    log_N, log_C = np.broadcast_arrays(log_N, np.log(C))
    low, high = (np.full(log_N.shape, end) for end in _LN_TOKENS)

    def over(log_D: Array) -> Array:
        return np.asarray(_log_cost(flops, log_N, log_D) - log_C)

    possible = (over(low) <= 0) & (over(high) >= 0)
    return np.where(possible, bracketed_root(over, low, high, enough=2e-14, most=60), np.nan)


def _steepness(laws: Laws, C: Array, flops: Callable[[Any, Any], Any], log_N: Array) -> Array:
    """ln of what more params cost the loss, by way of fewer tokens, over what they gain it."""
    log_D, h = _log_tokens(flops, C, log_N), _DIFFERENCE
    up, down = (_log_cost(flops, log_N + s * h, log_D) for s in (1, -1))
    more, fewer = (_log_cost(flops, log_N, log_D + s * h) for s in (1, -1))
    left = laws["N_term"] * laws["alpha"]
    right = laws["D_term"] * laws["beta"]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            np.log(right / left * (up - down) / (more - fewer))
            - laws["beta"] * (log_D - np.log(laws["D_centre"]))
            + laws["alpha"] * (log_N - np.log(laws["N_centre"]))
        )


def _search(
    laws: Laws, C: Array, flops: Callable[[Any, Any], Any], start: Array
) -> tuple[Array, Array]:
    """ln N and ln D of the lowest loss on flops(N, D) = C: a scan, then the root of the slope."""
    half = _DECADES * np.log(10)
    best, lowest = start, np.full(start.shape, np.inf)
    edge = np.ones(start.shape, bool)
    shifts = np.linspace(-half, half, _SCAN)
    rows = max(1, _CHUNK // max(start.size, 1))
    for first in range(0, _SCAN, rows):
        part = shifts[first : first + rows].reshape(-1, *(1,) * start.ndim)
        log_N = start + part
        loss = loss_of(laws, np.exp(log_N), np.exp(_log_tokens(flops, C, log_N)))
        for i, value in enumerate(np.where(np.isnan(loss), np.inf, loss)):
            better = value < lowest
            best, lowest = np.where(better, log_N[i], best), np.where(better, value, lowest)
            edge = np.where(better, first + i in (0, _SCAN - 1), edge)
    step = shifts[1] - shifts[0]

    def steepness(log_N: Array) -> Array:
        return _steepness(laws, C, flops, log_N)

    root = bracketed_root(steepness, best - step, best + step, enough=1e-11, most=16)
    log_N = np.where(edge, np.nan, root)
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
