"""Scaling rules for hyperparameters: what a recipe prescribes at a batch size and a token count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .errors import DataError

__all__ = ["CompletedAdamH", "ScalingRule"]


@runtime_checkable
class ScalingRule(Protocol):
    """What `delphi.fit_sweep` asks of a rule; any object with these three will do.

    ``name`` is shown in tables and figures, ``needs`` are the quantities the rule reads from a cell
    of the sweep (such as "batch_size" and "tokens"), and ``value(hparam, given)`` is the prescribed
    value, or None where the rule says nothing about that hyperparameter.
    """

    @property
    def name(self) -> str:
        """How the rule is called."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the quantities that ``given`` must have."""

    def value(self, hparam: str, given: Mapping[str, float]) -> float | None:
        """The prescribed value of a hyperparameter."""


@dataclass(frozen=True)
class CompletedAdamH:
    """The CompletedAdamH recipe: AdamH hyperparameters from batch size B and training tokens T.

    With r = (B / B0) (T0 / T), relative to one tuned reference run (B0 sequences, T0 tokens):

    - ``lr`` = lr0 (B / B0)^(1/2) (T0 / T)^0.3, for the matrices
    - ``adam_lr`` = adam_lr0 r^(1/2), for everything else
    - ``epsilon`` = epsilon0 r^(-1/2)
    - ``beta1``, the same everywhere
    - ``beta2`` = beta2_0^(B / B0), held in [beta2_min, beta2_max]: a half-life fixed in tokens

    Parameters
    ----------
    batch_size, tokens : float
        The reference run, B0 (sequences) and T0.
    lr, adam_lr, epsilon, beta1, beta2 : float
        What was tuned there.
    lr_exponent : float
        Power of T0 / T in the learning rate of the matrices.
    beta2_min, beta2_max : float
        Bounds of beta2.

    References
    ----------
    The marin project, ``experiments/scaling_law_sweeps/completed_adamh.py``, for the constants; the
    square-root rules in r follow the SDE view of Adam: S. Malladi, K. Lyu, A. Panigrahi and S.
    Arora, "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", NeurIPS 2022.

    Examples
    --------
    >>> rule = CompletedAdamH()
    >>> rule.value("lr", {"batch_size": 64, "tokens": 2.5e9})
    0.0063
    >>> round(rule.value("beta2", {"batch_size": 32, "tokens": 2.5e9}), 6)
    0.9999
    """

    batch_size: float = 64
    tokens: float = 2.5e9
    lr: float = 0.00630
    adam_lr: float = 0.000656
    epsilon: float = 1.85e-8
    beta1: float = 0.9
    beta2: float = 0.9999
    lr_exponent: float = 0.3
    beta2_min: float = 0.9
    beta2_max: float = 0.9999

    name = "CompletedAdamH"
    needs = ("batch_size", "tokens")

    def value(self, hparam: str, given: Mapping[str, float]) -> float | None:
        """The prescribed value of ``hparam``; None for one the recipe does not know.

        Parameters
        ----------
        hparam : str
            "lr", "adam_lr", "epsilon", "beta1" or "beta2".
        given : mapping
            ``batch_size`` (sequences) and ``tokens``, both > 0.

        Raises
        ------
        DataError
            A batch size or token count that is missing or not positive and finite.
        """
        for name in self.needs:
            number = given.get(name)
            if number is None or not (number > 0 and math.isfinite(number)):
                raise DataError(f"{self.name}: {name} must be a positive number, got {number!r}")
        batch = given["batch_size"] / self.batch_size
        ratio = (given["batch_size"] * self.tokens) / (self.batch_size * given["tokens"])
        if hparam == "lr":
            return self.lr * math.sqrt(batch) * (self.tokens / given["tokens"]) ** self.lr_exponent
        if hparam == "adam_lr":
            return self.adam_lr * math.sqrt(ratio)
        if hparam == "epsilon":
            return self.epsilon * math.sqrt(1.0 / ratio)
        if hparam == "beta1":
            return self.beta1
        if hparam == "beta2":
            return max(self.beta2_min, min(self.beta2_max, self.beta2**batch))
        return None
