"""The records of `accuracy.py` as Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from accuracy_rungs import ONE, Record, Work, speedup

__all__ = ["Pair", "difference", "of_work", "pairs", "report"]

_WITHIN = 0.005
_ABOVE = 1e-6
"""What a merge's rounding leaves of a difference of zero is not above it."""
_BUSY, _SHORT = 0.1, 1.0
"""The share of the machine that others may take, and the seconds of a fit below which it cannot be told."""
_Z = 1.96


def report(works: Sequence[Work], records: Sequence[Record]) -> str:
    """Return all tables and the summary of the grid."""
    names = {work.name for work in works}
    records = [record for record in records if record["work"] in names]
    shown = [work for work in works if any(record["work"] == work.name for record in records)]
    plain, grid = [work for work in shown if not work.seeded], [work for work in shown if work.seeded]
    parts = [_where(records)]
    if plain:
        parts += [_targets(plain, records), _measured(plain, records)]
    if grid:
        found = pairs(grid, records)
        parts += [_grid(found), _summary(found), *_choices(found)]
    return "\n\n".join(parts + _doubts(records))


def of_work(work: Work, records: Iterable[Record], seed: int = 0) -> dict[str, Record]:
    """Return the records of a work and seed by rung, in the order of its rungs."""
    found = {record["rung"]: record for record in records if (record["work"], record["seed"]) == (work.name, seed)}
    return {rung.name: found[rung.name] for rung in work.rungs if rung.name in found}


def difference(record: Record, work: Work, records: Mapping[str, Record]) -> float | None:
    """Return the score less that of one model, measured or published; None where either is missing."""
    reference = records[ONE].get("score") if ONE in records else next((score for _, score, _ in work.published), None)
    return None if reference is None or "score" not in record else record["score"] - reference


def _table(header: str, rows: Iterable[Sequence[str]]) -> str:
    lines = [header, "|---" * (header.count("|") - 1) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def _where(records: Sequence[Record]) -> str:
    names = ("cores", "python", "scikit-learn", "partwise")
    machines = sorted({tuple(str(record[name]) for name in names) for record in records if "cores" in record})
    said = ["{} cores, Python {}, scikit-learn {}, partwise {}".format(*machine) for machine in machines]
    limits = sorted({record["rows_limit"] for record in records if record["rows_limit"]})
    trial = f" **A trial of the program on {limits[0]:,} rows: the figures mean nothing.**" if limits else ""
    return (
        f"Measured on {' and on '.join(said) or 'nothing yet'}. Core-seconds are the processor time of all processes, "
        f"Ray's among them; the cut and the combination are part of the fit; workers are warm.{trial}"
    )


def _targets(works: Sequence[Work], records: Sequence[Record]) -> str:
    rows = []
    for work in works:
        found = of_work(work, records)
        answers = {name: _reached(work, name, found) for name in found}
        by = [name for name, answer in answers.items() if answer == "yes"]
        reached = "yes: " + "; ".join(by) if by else "no" if "no" in answers.values() else "not measured"
        rows.append((work.name, work.target, reached))
    return _table("| work | must reach | reached |", rows)


def _reached(work: Work, name: str, records: Mapping[str, Record]) -> str:
    answer = work.reached(name, records) if "score" in records[name] else None
    return "-" if answer is None else "yes" if answer else "no"


def _measured(works: Sequence[Work], records: Sequence[Record]) -> str:
    rows: list[Sequence[str]] = []
    for work in works:
        found = of_work(work, records)
        for source, score, seconds in work.published:
            rows.append((work.name, source, "", f"{seconds:,.0f}", "", "", f"{score:.4f}", *[""] * 4, "-"))
        rows += [_row(work, record, found) for record in found.values()]
    return _table(
        "| work | rung | rows | fit s | core-s | predict s | score | difference (95 %) | unequal predictions "
        "| fit speed-up | predict speed-up | target reached |",
        rows,
    )


def _row(work: Work, record: Record, records: Mapping[str, Record]) -> Sequence[str]:
    name = record["rung"]
    if "score" not in record:
        failed = f"over {record['over']:g}" if "over" in record else record["error"].replace("|", "/")[:80]
        return (work.name, name, "", failed, *[""] * 7, "-")
    one = records.get(ONE, {})
    compared = "fit_seconds" in one and name != ONE
    published = f"{work.published[0][2] / record['fit_seconds']:,.0f} (published)" if work.published else ""
    return (
        work.name,
        name + (f", {record['rounds']} rounds in all" if record.get("rounds") and "boosting" in work.target else ""),
        f"{record['train']:,}",
        f"{record['fit_seconds']:.2f}",
        f"{record['core_seconds']:.1f}",
        f"{record['predict_seconds']:.2f}",
        f"{record['score']:.4f}",
        _gain(record, difference(record, work, records)) if name != ONE else "",
        f"{record['unequal']:,} of {record['test']:,}" if "unequal" in record else "",
        f"{speedup(record, one):.2f}" if compared else published,
        f"{speedup(record, one, 'predict_seconds'):.2f}" if compared else "",
        _reached(work, name, records),
    )


def _gain(record: Record, gain: float | None) -> str:
    if gain is None:
        return ""
    if "standard_error" not in record:
        return _signed(gain)
    half = _Z * record["standard_error"]
    return f"{_signed(gain)} ({_signed(gain - half)} to {_signed(gain + half)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A table and a learner of the grid: means over the seeds of which one model, auto and the vote are known."""

    table: str
    learner: str
    seeds: tuple[Mapping[str, Record], ...]
    n_missing: int

    def gain(self, rung: str) -> float | None:
        """Return the mean difference of a rung to one model, over the seeds that have it."""
        gains = [seed[rung]["score"] - seed[ONE]["score"] for seed in self.seeds if "score" in seed.get(rung, {})]
        return mean(gains) if gains else None

    def mean(self, rung: str, what: str) -> float:
        """Return the mean of what was measured."""
        return mean(seed[rung][what] for seed in self.seeds)

    @property
    def choices(self) -> dict[str, int]:
        """The recipes that were chosen, and how often."""
        chosen = [seed["auto"]["chosen"] for seed in self.seeds]
        return {name: chosen.count(name) for name in sorted(set(chosen), key=lambda name: -chosen.count(name))}

    @property
    def distributes(self) -> bool:
        """Whether at least half of the seeds distribute."""
        return 2 * self.choices.get(ONE, 0) <= len(self.seeds)

    @property
    def is_exact(self) -> bool:
        """Whether all seeds chose an exact merge."""
        return all(name.endswith(", pool") for name in self.choices)


def pairs(works: Sequence[Work], records: Sequence[Record]) -> list[Pair]:
    """Return the pairs of the grid of which at least one seed is measured."""
    found = []
    for work in works:
        _, table, learner = work.name.split("/")
        seeds = sorted({record["seed"] for record in records if record["work"] == work.name})
        each = [of_work(work, records, seed) for seed in seeds]
        whole = tuple(seed for seed in each if all("score" in seed.get(name, {}) for name in (ONE, "auto")))
        found.append(Pair(table=table, learner=learner, seeds=whole, n_missing=len(each) - len(whole)))
    return found


def _grid(found: Sequence[Pair]) -> str:
    return _table(
        "| table | learner | auto chose (seeds) | one model | auto | difference | plain vote | best ensemble refused "
        "| fit s, one / auto | of it choosing | speed-up | predict s, one / auto | core-s, one / auto / vote |",
        [_pair_row(pair) for pair in found],
    )


def _pair_row(pair: Pair) -> Sequence[str]:
    if not pair.seeds:
        return (pair.table, pair.learner, "not measured, or over the limit", *[""] * 10)
    auto_fit, one_fit = pair.mean("auto", "fit_seconds"), pair.mean(ONE, "fit_seconds")
    voted = all("score" in seed.get("plain vote", {}) for seed in pair.seeds)
    core_seconds = [f"{pair.mean(rung, 'core_seconds'):.1f}" for rung in (ONE, "auto", *(["plain vote"] * voted))]
    predicting = [f"{pair.mean(rung, 'predict_seconds'):.2f}" for rung in (ONE, "auto")]
    return (
        pair.table,
        pair.learner,
        "; ".join(f"{name} ({count})" for name, count in pair.choices.items()),
        f"{pair.mean(ONE, 'score'):.4f}",
        f"{pair.mean('auto', 'score'):.4f}",
        _signed(pair.gain("auto")),
        _signed(pair.gain("plain vote")),
        _signed(pair.gain("best refused")),
        f"{one_fit:.2f} / {auto_fit:.2f}",
        f"{pair.mean('auto', 'select_seconds'):.2f}",
        f"{one_fit / auto_fit:.2f}",
        " / ".join(predicting),
        " / ".join(core_seconds),
    )


def _signed(gain: float | None) -> str:
    return "" if gain is None else f"{round(gain, 4) + 0.0:+.4f}"  # no minus before a zero


def _summary(found: Sequence[Pair]) -> str:
    measured = [pair for pair in found if pair.seeds]
    spread = [pair for pair in measured if pair.distributes]
    kept = [pair for pair in measured if not pair.distributes]
    mixed = [f"{pair.table}/{pair.learner}" for pair in measured if len(pair.choices) > 1]
    lines = [
        f"Of {len(measured)} pairs, auto distributes {len(spread)} and keeps one model in {len(kept)}.",
        _shares("Of the pairs that it distributes", spread),
        _shares("Of these without the exact merges", [pair for pair in spread if not pair.is_exact]),
        _kept(kept),
    ]
    if mixed:
        lines.append(
            f"The seeds chose differently for {', '.join(mixed)}: these count as most of their seeds chose, a tie as "
            "distributed."
        )
    if missing := sum(pair.n_missing for pair in found):
        lines.append(f"{missing} runs lack one model or auto (over the limit, failed, or not yet measured).")
    return "\n".join(f"- {line}" for line in lines if line)


def _shares(what: str, found: Sequence[Pair]) -> str:
    if not found:
        return ""
    gains = [pair.gain("auto") or 0.0 for pair in found]
    near, above = (sum(gain > limit for gain in gains) / len(gains) for limit in (-_WITHIN - _ABOVE, _ABOVE))
    ratios = [pair.mean(ONE, "fit_seconds") / pair.mean("auto", "fit_seconds") for pair in found]
    faster = sum(ratio > 1 for ratio in ratios)
    goal = f"must be ≥ 85 % and ≥ 40 %: {'reached' if near >= 0.85 and above >= 0.40 else 'not reached'}"
    return (
        f"{what} ({len(found)}): {near:.0%} are within 0.5 points (R² 0.005) of one model or above it, {above:.0%} "
        f"above it ({goal}); {faster} are fitted faster, the choice included."
    )


def _kept(kept: Sequence[Pair]) -> str:
    said = []
    for what, rung in (("the plain vote", "plain vote"), ("the best ensemble of the trials", "best refused")):
        gains = [gain for pair in kept if (gain := pair.gain(rung)) is not None]
        if gains:
            lost = sum(gain < -_WITHIN for gain in gains)
            said.append(f"{what} {mean(gains):+.4f} on average, more than 0.5 points lost in {lost} of {len(gains)}")
    return f"Where it keeps one model, distributing would have cost: {'; '.join(said)}." if said else ""


def _choices(found: Sequence[Pair]) -> list[str]:
    lines = [
        f"- {pair.table}/{pair.learner}, seed {seed['auto']['seed']}: {seed['auto']['reason']}"
        for pair in found
        for seed in pair.seeds[:1]
    ]
    return ["What auto said (first seed):\n\n" + "\n".join(lines)] if lines else []


def _doubts(records: Sequence[Record]) -> list[str]:
    busy = [
        f"{record['work']}: {record['rung']}, seed {record['seed']} ({record['others']:.0%})"
        for record in records
        if record.get("others", 0.0) > _BUSY and record["fit_seconds"] > _SHORT
    ]
    if not busy:
        return []
    return [f"Other work took over {_BUSY:.0%} of the machine during these fits: {'; '.join(busy)}."]
