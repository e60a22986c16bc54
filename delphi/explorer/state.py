"""What the panel shows, without a panel: settings in, fits out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delphi import _core
from delphi.arrays import checked_count, checked_level
from delphi.bootstrap import BootstrapResult, bootstrap_ladder, bootstrap_law
from delphi.buckets import sweep_runs
from delphi.draws import quantiles
from delphi.errors import DataError, FitWarning
from delphi.heldout import score_held_out
from delphi.isoflop import (
    CURVES,
    Curve,
    IsoflopLadder,
    checked_curve,
    fit_isoflops,
)  # fmt: skip
from delphi.overtraining import overtraining_cost
from delphi.powerlaw import PowerLaw, fit_power_law
from delphi.sharedfloor import shared_replicates
from delphi.shorthand import flops
from delphi.status import bits

__all__ = ["Explorer", "ExplorerState", "Settings"]

Floor = Literal["free", "shared", "pinned"]
FLOORS: tuple[Floor, ...] = get_args(Floor)
LEAST = 3  # optima a law needs
TOGETHER = 12  # suites that share a floor, at most
WORK = 200_000  # runs refitted at a move, at most: what keeps a move short
FEWEST = 100  # replicates, however large the suite
N_GRID = 40


@dataclass(frozen=True)
class Settings:
    """Where the controls stand.

    Attributes
    ----------
    suite : str
    cutoff : float
        Largest budget that is fitted, FLOPs.
    curve : str
        As in `delphi.fit_isoflops`.
    floor : {"free", "shared", "pinned"}
    pinned : float
        L_inf where the floor is pinned.
    scale : float
        Tokens over optimal tokens of the over-trained run.
    at : float
        Compute of the forecast, FLOPs.
    """

    suite: str
    cutoff: float
    curve: Curve
    floor: Floor
    pinned: float
    scale: float
    at: float


@dataclass(frozen=True)
class ExplorerState:
    """Everything that follows from one place of the controls.

    Attributes
    ----------
    settings : Settings
    law : PowerLaw or None
        None where no optimum is left.
    band : BootstrapResult or None
        Forecasts on a grid of compute, the last of them at ``settings.at``; None without a law, or
        where too few optima leave nothing to resample.
    optima : pandas.DataFrame
        budget, compute, tokens_star, loss_star, fitted (at or below the cutoff), predicted and
        error_percent (loss_star over predicted, less one).
    fits : pandas.DataFrame
        The suite's rows of `IsoflopLadder.fits`.
    held_out : pandas.DataFrame
        compute, loss, predicted, error_percent of finished held-out points.
    cost : dict
        Row of `delphi.overtraining_cost` at the scale; empty without one.
    notes : tuple of str
        What was left out or reduced.
    seconds : float
        Wall time of the update.
    """

    settings: Settings
    law: PowerLaw | None
    band: BootstrapResult | None
    optima: pd.DataFrame
    fits: pd.DataFrame
    held_out: pd.DataFrame
    cost: dict[str, Any]
    notes: tuple[str, ...]
    seconds: float

    @property
    def forecast(self) -> tuple[float, float, float]:
        """Loss at ``settings.at``: low, of the law, high; NaN where there is none."""
        middle = float("nan") if self.law is None else float(self.law.predict(self.settings.at))
        if self.band is None:
            return float("nan"), middle, float("nan")
        return float(self.band.low[-1]), middle, float(self.band.high[-1])

    def facts(self) -> dict[str, str]:
        """Names and values in words, for a person."""
        s, law = self.settings, self.law
        fitted = int(self.optima["fitted"].sum())
        words = {"optima fitted": f"{fitted} of {len(self.fits)} budgets"}
        if law is None or not law.ok:
            return words | {"law": "none: " + ("too few optima" if law is None else law.status)}
        words |= {"law": law.equation, "status": law.status.replace("_", " ")}
        low, mid, high = self.forecast
        if self.band is None:
            words[f"loss at {flops(s.at)}"] = f"{mid:.4f}, no interval"
        else:
            words[f"loss at {flops(s.at)}"] = (
                f"{mid:.4f} [{low:.4f}, {high:.4f}] {self.band.level:.0%}"
                + ("" if self.band.status == "ok" else f" ({self.band.status})").replace("_", " ")
            )
            band = self.band
            words["bootstrap"] = f"{band.n_ok:,} of {band.n_requested:,}, {band.kind}"
        if self.cost:
            words[f"{s.scale:.3g}x tokens"] = (
                f"loss +{self.cost['penalty']:.4f}, compute to match"
                f" {self.cost['percent_overhead']:+.1f}%"
                f" [{self.cost['percent_overhead_low']:+.1f},"
                f" {self.cost['percent_overhead_high']:+.1f}]"
                + ("" if self.cost["status"] == "ok" else f" ({self.cost['status']})")
            ).replace("_", " ")
        for name, table in (
            ("beyond the cutoff", self.optima[~self.optima["fitted"]]),
            ("held-out runs", self.held_out),
        ):
            errors = table["error_percent"].abs().dropna()
            if len(errors):
                words[name] = f"off by {errors.median():.2f}% (median), {errors.max():.2f}% (worst)"
        return words

    def summary(self) -> str:
        """The facts and notes, one a line."""
        lines = [f"{name}: {value}" for name, value in self.facts().items()]
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Settings, law, forecast and tables as plain values."""
        low, mid, high = self.forecast
        return {
            "settings": {f.name: getattr(self.settings, f.name) for f in fields(self.settings)},
            "law": None if self.law is None else self.law.to_dict(),
            "forecast": {"low": low, "mid": mid, "high": high},
            "optima": self.optima.to_dict("records"),
            "held_out": self.held_out.to_dict("records"),
            "cost": dict(self.cost),
            "notes": list(self.notes),
        }


class Explorer:
    """The fits behind `delphi.explore`: a plain object that any front end can drive.

    Parameters
    ----------
    runs : DataFrame or IsoflopLadder
        Standard columns, as from `delphi.read_runs`; of a ladder its runs are taken.
    suite : str, optional
        The first by default.
    cutoff : float, optional
        Largest budget to fit, FLOPs; the largest there is by default.
    curve : str
        As in `delphi.fit_isoflops`.
    floor : {"free", "shared", "pinned"}
        One floor a suite, one for all suites (at most twelve), or ``pinned``.
    pinned : float, optional
        L_inf to pin to; two thirds of the lowest loss by default.
    scale : float
        Tokens over optimal tokens.
    at : float, optional
        Compute of the forecast, FLOPs; a hundred times the largest budget by default.
    n_boot : int
        Replicates of a move. Large suites get fewer, at least 100, and a note.
    level : float
        Level of the intervals.
    rng : int or SeedSequence
        Source of the draws, the same at every move: equal settings give equal numbers.

    Attributes
    ----------
    state : ExplorerState
        What the last `update` returned.

    Raises
    ------
    DataError
        Runs that cannot be fitted, or an option that is wrong.

    Examples
    --------
    >>> from delphi import simulate
    >>> explorer = Explorer(simulate.ladder(rng=0), suite="Aster")
    >>> early = explorer.update(cutoff=3e19)
    >>> early.law.n, explorer.update(cutoff=3e20).law.n
    (4, 7)
    >>> explorer.update(floor="pinned", pinned=1.8).law.L_inf
    1.8
    """

    def __init__(
        self,
        runs: Any,
        *,
        suite: str | None = None,
        cutoff: float | None = None,
        curve: Curve = "windowed",
        floor: Floor = "free",
        pinned: float | None = None,
        scale: float = 2.0,
        at: float | None = None,
        n_boot: int = 1000,
        level: float = 0.95,
        rng: Any = 0,
    ) -> None:
        if rng is None or isinstance(rng, np.random.Generator):
            raise DataError("rng: give a seed: equal settings give equal numbers")
        self.n_boot = checked_count(n_boot, "n_boot")
        self.level, self.rng = checked_level(level), rng
        checked_curve(curve)
        table = runs.runs if isinstance(runs, IsoflopLadder) else runs
        ladder = self._ladder(table, curve)
        self.attrs = dict(ladder.runs.attrs)
        self.suites = ladder.suites
        # pandas copies attrs at every step, however large they are.
        self._table = ladder.runs.copy()
        self._table.attrs = {}
        self._runs = {str(s): rows for s, rows in self._table.groupby("suite", sort=True)}
        # What a move refits: the runs in the parabolas, and only the columns it takes.
        sweep = sweep_runs(self._table)[1][["suite", "budget", "tokens", "loss"]]
        sweep = sweep.astype({"suite": object})
        self._sweep = {str(s): rows for s, rows in sweep.groupby("suite", sort=True)}
        self._fits: dict[str, dict[str, pd.DataFrame]] = {}
        self._window = ladder.window
        self._keep(curve, ladder)
        self._held: dict[str, dict[str, NDArray[np.float64]]] = {}
        suite = self.suites[0] if suite is None else suite
        if suite not in self._runs or suite not in self.suites:
            raise DataError(f"suite: expected one of {self.suites[:TOGETHER]}, got {suite!r}")
        budgets = self.budgets(suite)
        loss = ladder.fits.loc[ladder.fits["suite"] == suite, "loss_star"].min()
        settings = Settings(
            suite=suite,
            cutoff=budgets[-1] if cutoff is None else cutoff,
            curve=curve,
            floor=floor,
            pinned=(2 * loss / 3 if np.isfinite(loss) else 0.0) if pinned is None else pinned,
            scale=scale,
            at=100 * budgets[-1] if at is None else at,
        )
        self._changed(settings)
        self.state: ExplorerState = self._fit(settings)

    def budgets(self, suite: str) -> list[float]:
        """Budgets of a suite, FLOPs: where the cutoff can stand."""
        fits = next(iter(self._fits.values()))
        return [float(b) for b in np.sort(fits[suite]["budget"].unique())]

    def runs_of(self, suite: str) -> pd.DataFrame:
        """The runs in a suite's curves: suite, budget, tokens, loss."""
        return self._sweep[suite]

    def update(self, **changes: Any) -> ExplorerState:
        """Change some settings and fit again.

        Parameters
        ----------
        **changes
            Any of `Settings`. A new suite takes the cutoff to its own nearest budget.

        Returns
        -------
        ExplorerState
            Also kept as ``state``.

        Raises
        ------
        DataError
            A setting that does not exist or makes no sense; nothing is changed then.
        """
        known = [f.name for f in fields(Settings)]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise DataError(f"{', '.join(unknown)}: the settings are {', '.join(known)}")
        settings = replace(self.state.settings, **changes)
        if settings.suite != self.state.settings.suite and settings.suite in self.suites:
            near = self.budgets(settings.suite)
            if "cutoff" not in changes:
                gaps = [abs(np.log(b / settings.cutoff)) for b in near]
                settings = replace(settings, cutoff=near[int(np.argmin(gaps))])
        self._changed(settings)
        self.state = self._fit(settings)
        return self.state

    def _changed(self, s: Settings) -> None:
        """Raise unless the settings make sense."""
        if s.suite not in self.suites:
            raise DataError(f"suite: expected one of {self.suites[:TOGETHER]}, got {s.suite!r}")
        checked_curve(s.curve)
        if s.floor not in FLOORS:
            raise DataError(f"floor: expected one of {', '.join(FLOORS)}, got {s.floor!r}")
        for name in ("cutoff", "pinned", "scale", "at"):
            value = getattr(s, name)
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            least = value >= 0 if name == "pinned" and number else number and value > 0
            if not (number and np.isfinite(value) and least):
                raise DataError(f"{name}: expected a positive number, got {value!r}")

    def _ladder(self, table: Any, curve: Curve) -> IsoflopLadder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # the panel shows every status
            return fit_isoflops(table, curve=curve)

    def _keep(self, curve: Curve, ladder: IsoflopLadder) -> None:
        fits = ladder.fits
        self._fits[curve] = {str(s): rows for s, rows in fits.groupby("suite", sort=True)}

    def _cut(self, suite: str, curve: Curve, cutoff: float) -> IsoflopLadder:
        """One suite's ladder, its buckets beyond the cutoff not used."""
        fits = self._fits[curve][suite]
        fits = fits.assign(used=fits["used"] & (fits["budget"] <= cutoff * (1 + 1e-9)))
        window = self._window if curve == "windowed" else None
        nothing = pd.DataFrame(columns=["reason", "rows"])
        return IsoflopLadder(self._sweep[suite], fits, nothing, curve, window)

    def _fit(self, s: Settings) -> ExplorerState:
        start = time.perf_counter()
        if s.curve not in self._fits:
            ladder = self._ladder(self._table, s.curve)
            self._window = ladder.window or self._window
            self._keep(s.curve, ladder)
        notes: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            own = self._cut(s.suite, s.curve, s.cutoff)
            together = self._together(s, own, notes)
            laws = self._laws(s, own, together)
            law = laws.get(s.suite)
            band = None
            if law is not None and law.ok:
                try:
                    band = self._band(s, own, together, laws, notes)
                except DataError as error:
                    notes.append(f"no interval: {error}")
            cost = self._cost(s, own, law)
        return ExplorerState(
            settings=s, law=law, band=band, optima=self._optima(s, own, law), fits=own.fits,
            held_out=_against(self._held_points(s.suite), "loss", law), cost=cost,
            notes=tuple(notes), seconds=time.perf_counter() - start,
        )  # fmt: skip

    def _together(
        self, s: Settings, own: IsoflopLadder, notes: list[str]
    ) -> dict[str, IsoflopLadder]:
        """The suites that share the floor, the one on show among them; empty where none do."""
        if s.floor != "shared" or own.fits["used"].sum() < LEAST:
            return {}
        found = {s.suite: own}
        able = 0
        for suite in self.suites:
            if suite == s.suite:
                continue
            ladder = self._cut(suite, s.curve, s.cutoff)
            if ladder.fits["used"].sum() >= LEAST:
                able += 1
                if len(found) < TOGETHER:
                    found[suite] = ladder
        if able + 1 > len(found):
            notes.append(f"the floor is shared among {len(found)} of {able + 1} suites")
        if len(found) == 1:
            notes.append("no other suite has three optima up to the cutoff: its floor is its own")
        return {name: found[name] for name in sorted(found)}

    def _laws(
        self, s: Settings, own: IsoflopLadder, together: dict[str, IsoflopLadder]
    ) -> dict[str, PowerLaw]:
        if len(together) > 1:
            fits = pd.concat([ladder.fits for ladder in together.values()], ignore_index=True)
            return replace(own, fits=fits).laws(shared_floor=True)
        used = own.fits["used"].to_numpy(bool)
        if not used.any():
            return {}
        C, y = (own.fits[name].to_numpy(float)[used] for name in ("compute", "loss_star"))
        return {s.suite: fit_power_law(C, y, floor=s.pinned if s.floor == "pinned" else None)}

    def _band(
        self,
        s: Settings,
        own: IsoflopLadder,
        together: dict[str, IsoflopLadder],
        laws: dict[str, PowerLaw],
        notes: list[str],
    ) -> BootstrapResult:
        """The whole bootstrap: of the runs where the curve is a parabola, else of the optima."""
        grid = self._grid(s)
        parabola = s.curve in ("windowed", "parabola")
        of = together if len(together) > 1 else {s.suite: own}
        size = sum(
            int(ladder.fits.loc[ladder.fits["used"], "n" if parabola else "used"].sum())
            for ladder in of.values()
        )
        n = max(min(self.n_boot, FEWEST), min(self.n_boot, WORK // max(size, 1)))
        if n < self.n_boot:
            notes.append(f"{n:,} of {self.n_boot:,} replicates, to keep a move short")
        floor = s.pinned if s.floor == "pinned" else None
        if len(of) > 1:
            found = shared_replicates(of, laws, s.suite, n=n, rng=self.rng)
            draws: NDArray[np.float64] = _core.powerlaw(
                grid, found.L_inf[:, None], found.log_A[:, None], found.alpha[:, None]
            )
            tails = np.array([(1 - self.level) / 2, 0.5, (1 + self.level) / 2])
            low, mid, high = quantiles(np.ascontiguousarray(draws.T), tails).T
            kind = f"{found.kind}, shared floor"
            at_zero = int((found.L_inf <= 0).sum())
            often = at_zero > tails[0] * len(found.L_inf)
            return BootstrapResult(
                grid, low, mid, high, self.level, kind, n, 0, found.n_failed, draws,
                {"floor_at_zero": at_zero}, bits("floor_at_zero") if often else 0,
            )  # fmt: skip
        if parabola:
            return bootstrap_ladder(
                own, s.suite, grid, n=n, rng=self.rng, level=self.level, floor=floor
            )
        optima = own.optima
        return bootstrap_law(
            optima["compute"], optima["loss_star"], grid, n=n, kind="residual", rng=self.rng,
            level=self.level, floor=floor,
        )  # fmt: skip

    def _grid(self, s: Settings) -> NDArray[np.float64]:
        """Compute to forecast at, the setting's own last."""
        budgets = self.budgets(s.suite)
        seen = [*budgets, s.at, *self._held_points(s.suite)["compute"]]
        return np.append(np.geomspace(min(seen), 2 * max(seen), N_GRID), s.at)

    def _cost(self, s: Settings, own: IsoflopLadder, law: PowerLaw | None) -> dict[str, Any]:
        if law is None or not law.ok or s.scale == 1:
            return {}
        cost = overtraining_cost(
            own, law, suite=s.suite, at=s.at, scales=[s.scale], level=self.level,
            n_boot=self.n_boot, rng=self.rng,
        )  # fmt: skip
        return {str(k): v for k, v in cost.table.iloc[0].to_dict().items()}

    def _optima(self, s: Settings, own: IsoflopLadder, law: PowerLaw | None) -> pd.DataFrame:
        every = self._fits[s.curve][s.suite]
        kept = every["used"].to_numpy(bool)
        table = {
            name: every[name].to_numpy(float)[kept]
            for name in ("budget", "compute", "tokens_star", "loss_star")
        }
        fitted = own.fits["used"].to_numpy(bool)[kept]
        return _against({**table, "fitted": fitted}, "loss_star", law)

    def _held_points(self, suite: str) -> dict[str, NDArray[np.float64]]:
        """Compute and loss of a suite's finished held-out points."""
        if suite not in self._held:
            runs = self._runs[suite]
            points = {"compute": np.empty(0), "loss": np.empty(0)}
            if {"run_type", "state"} <= set(runs.columns):
                scored = score_held_out(runs, {})
                scored = scored[scored["state"] == "finished"]
                points = {name: scored[name].to_numpy(float) for name in points}
            self._held[suite] = points
        return self._held[suite]

    @property
    def curves(self) -> Sequence[str]:
        """Curve shapes there are."""
        return CURVES


def _against(columns: dict[str, NDArray[Any]], loss: str, law: PowerLaw | None) -> pd.DataFrame:
    """The columns as a table, with what the law says of each row."""
    compute = columns["compute"]
    fine = law is not None and law.ok
    said = law.predict(compute) if law is not None and fine else np.full(len(compute), np.nan)
    error = 100 * (columns[loss] / said - 1)
    return pd.DataFrame({**columns, "predicted": said, "error_percent": error})
