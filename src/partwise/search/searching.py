"""The search itself: trials are begun, judged after 1, 2, 4 ... partitions, and go on, or not.

Every unit, one trial's member on one partition, is a task of its own. When a worker is free, a trial that goes on is
served first; else a new one begins.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study, Trial
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from partwise.attempts import input_error_of
from partwise.checkpoints import Checkpoint, KeptMembers
from partwise.errors import InputError, UnwritableError
from partwise.learners.checking import with_parameters
from partwise.permutation import KeyedPermutation
from partwise.prediction import value_of
from partwise.protocols import CutTable, Executor
from partwise.records import Member, OutputKind, Task, TaskFailure, TaskOutcome
from partwise.search.judging import Judge, JudgedRows, kind_of
from partwise.search.leftovers import Leftovers
from partwise.search.records import SearchPlan, SearchTrial, TrialState
from partwise.search.sampling import make_sampler, silent, storing
from partwise.search.units import Bench, UnitResult, UnitWork, fit_and_ask
from partwise.templates import with_categories

__all__ = ["Search"]

_TOLD = "partwise"
_SPENT = "spent_seconds"
_NOTED_SECONDS = 1.0
"""How often the time that was spent is noted: a note takes as long as a tiny fit."""


@dataclass(slots=True)
class _Running:
    """A trial that is under way."""

    trial: Trial
    params: dict[str, Any]
    template: Any
    kind: OutputKind
    kept: KeptMembers
    there: dict[int, Member]
    """Members that were fitted before, by partition."""
    rung: int = 0
    n_fits: int = 0
    started: float = field(default_factory=time.time)
    said: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    outputs: NDArray[np.float64] | None = None
    """What its members said together when it was judged last."""
    cpu_seconds: float = 0.0


@dataclass
class Search:
    """A search over one cut table.

    ``unused`` are rows that judge no trial, None where the table has too few; ``levels`` says which features are codes
    of categories, and of how many; ``observe`` is called with each trial as it ends.
    """

    plan: SearchPlan
    study: Study
    template: Any
    bench: Bench
    cut: CutTable
    judge: Judge
    checkpoint: Checkpoint
    executor: Executor
    unused: JudgedRows | None = None
    levels: Mapping[int, int] = field(default_factory=dict)
    observe: Callable[[SearchTrial], None] = lambda _: None

    def __post_init__(self) -> None:
        self._running: dict[int, _Running] = {}
        self._units: dict[int, tuple[int, int]] = {}
        self._waiting: deque[tuple[int, int]] = deque()
        self._outputs: dict[int, NDArray[np.float64]] = {}
        self._n_units = 0
        self._lent: dict[int, Callable[[], Any]] = {}
        self._readable = self.checkpoint.trust
        self._leftovers = Leftovers(
            self.plan,
            owned=self.checkpoint.owned,
            asked_again=self.unused is None,
            maximize=self.judge.metric.greater_is_better,
        )
        self._ends: float | None = None

    def run(self) -> list[SearchTrial]:
        """Carry the search to its end, or to the end of its budget, and return all trials in order.

        Trials that an earlier process left under way, or that its smaller budget stopped, are taken up where they were;
        those that ended are not repeated.
        """
        began = noted = time.monotonic()
        spent = float(self.study.user_attrs.get(_SPENT, 0.0))
        self._ends = None if self.plan.budget is None else began + self.plan.budget - spent
        with silent(), storing():
            self._prepare()
            while self._has_work():
                before = self._n_units
                with closing(self.executor.run(fit_and_ask, self.bench, self, members=True)) as outcomes:
                    for outcome in outcomes:
                        self._take(outcome)
                        if time.monotonic() - noted > _NOTED_SECONDS:
                            noted = time.monotonic()
                            self.study.set_user_attr(_SPENT, spent + noted - began)
                if self._n_units == before:
                    break
            for number in list(self._running):
                self._end(number, "stopped", reason="the budget was at its end")
            self.study.set_user_attr(_SPENT, spent + time.monotonic() - began)
            self._lent.clear()
            return self.trials()

    def trials(self) -> list[SearchTrial]:
        """Return all trials that ended, in the order in which they were begun."""
        return [self._told(each) for each in self.study.get_trials(deepcopy=False) if _TOLD in each.user_attrs]

    # The executor draws tasks from this object: it stops where there is nothing to do now, and is asked again after
    # each outcome, which may have brought something.
    def __iter__(self) -> Iterator[Task]:
        return self

    def __next__(self) -> Task:
        if self._is_over() or (self.plan.one_by_one and self._units and not self._waiting):
            raise StopIteration
        while (unit := self._free()) is None:
            if len(self._units) >= max(1, self.executor.slots) or not self._begin():
                raise StopIteration
        self._waiting.remove(unit)
        number, partition = unit
        running = self._running[number]
        there = running.there.get(partition)
        asked = self._asked_about(partition, self.judge.rows)
        work = self._unit(running.template, running.kind, running.kept, partition, there, asked)
        self._n_units += 1
        self._units[self._n_units] = (number, partition)
        # Alone: what comes of it decides what is begun next, and the next configuration may take far longer.
        return Task(self._n_units, work, int(self.cut.partitions.sizes[partition]), alone=True)

    def _free(self) -> tuple[int, int] | None:
        """Return the first unit whose member is not being fitted for another trial of the same parameters."""
        under_way = {(self._running[number].kept.key, partition) for number, partition in self._units.values()}
        for number, partition in self._waiting:
            if (self._running[number].kept.key, partition) not in under_way:
                return number, partition
        return None

    def _is_over(self) -> bool:
        return self._ends is not None and time.monotonic() >= self._ends

    def _has_work(self) -> bool:
        return not self._is_over() and bool(self._waiting or self._n_left() > 0)

    def _n_left(self) -> int:
        return self.plan.n_trials - self._n_begun()

    def _n_begun(self) -> int:
        return sum(each.state != OptunaState.WAITING for each in self.study.get_trials(deepcopy=False))

    def _prepare(self) -> None:
        """Enqueue what is tried for sure, and take up what an earlier process left."""
        known = self.study.get_trials(deepcopy=False)
        if not known and self.plan.first:
            self.study.enqueue_trial(dict(self.plan.first))
        if self.plan.sampler == "grid":
            for point in self.plan.space.grid(self._grid_order()):
                self.study.enqueue_trial(point, skip_if_exists=True)
        for ended in self.trials():
            self._leftovers.after(ended, None, ())
        for frozen in known:
            has_stopped = _TOLD in frozen.user_attrs
            if frozen.state == OptunaState.RUNNING and not (has_stopped and self._is_over()):
                self._start(self._taken_up(frozen))

    def _grid_order(self) -> list[int]:
        """Return which points of the grid are tried, in a random order that further trials only lengthen."""
        order = KeyedPermutation(self.plan.space.grid_size, (self.plan.seed,))
        return [int(place) for place in order(np.arange(self.plan.n_trials))]

    def _taken_up(self, frozen: FrozenTrial) -> Trial:
        """Return a trial that an earlier process began; what that had not drawn yet is drawn as it would have been."""
        self.study.sampler = make_sampler(self.plan.sampler, self.plan.seed, frozen.number)
        trial = Trial(self.study, frozen._trial_id)  # noqa: SLF001 - the only way to go on with a trial
        for name, distribution in self.plan.space.distributions.items():
            trial._suggest(name, distribution)  # noqa: SLF001 - as `Study.ask` does
        return trial

    def _begin(self) -> bool:
        """Begin a new trial; return whether there is one with something to do."""
        while self._n_left() > 0:
            self.study.sampler = make_sampler(self.plan.sampler, self.plan.seed, self._n_begun())
            if self._start(self.study.ask(self.plan.space.distributions)):
                return True
        return False

    def _start(self, trial: Trial) -> bool:
        """Return whether the trial could be begun; parameters that the learner refuses end it."""
        params = self.plan.space.parameters(trial.params)
        try:
            template = self._template_with(params)
        except InputError as error:
            self._tell(trial, SearchTrial(number=trial.number, params=params, state="failed", reason=str(error)))
            return False
        self._running[trial.number] = _Running(trial, params, template, *self._known(template))
        self._wait_for(trial.number)
        return True

    def _places(self, running: _Running) -> tuple[int, ...]:
        """Return the partitions whose members the next rung of a trial judges."""
        return self.plan.places[self.plan.rungs[running.rung]]

    def _wait_for(self, number: int) -> None:
        """Put the units that the next rung lacks into the queue, before those of trials that were begun later."""
        running = self._running[number]
        lacking = [(number, place) for place in self._places(running) if place not in running.said]
        self._waiting.extendleft(reversed(lacking))

    def _take(self, outcome: TaskOutcome) -> None:
        number, partition = self._units.pop(outcome.id, (-1, -1))
        running = self._running.get(number)
        if running is None:
            return  # the trial has failed elsewhere, or this is a copy
        if outcome.failure is not None:
            if isinstance(unwritable := input_error_of(outcome.failure), UnwritableError):
                raise unwritable  # no trial is to blame: with more room it goes on
            state: TrialState = "timed_out" if outcome.failure.reason == "timeout" else "failed"
            self._end(number, state, reason=_why(outcome.failure))
            return
        result: UnitResult = outcome.value
        if result.fitted is not None:
            running.n_fits += 1
            running.kept.settle(replace(outcome, id=partition, value=result.fitted), for_driver=False)
            if not self._readable:
                running.kept.taken(self.cut.partitions)  # may they not be read, it is known before time is spent
                self._readable = True
        running.cpu_seconds += result.cpu_seconds + result.ask_cpu_seconds
        spokesman = _spokesman(partition, result, running.there.get(partition))
        alike = [other for other, each in self._running.items() if each.kept.key == running.kept.key]
        for other in alike:
            if partition not in self._running[other].said:
                self._hear(other, partition, spokesman, self._spread(partition, self.judge.rows, result.outputs))

    def _hear(self, number: int, partition: int, member: Member, outputs: NDArray[np.float64]) -> None:
        """Take what a member says, and judge the trial where it was the last of a rung, or of several."""
        running = self._running[number]
        running.said[partition], running.members[partition] = outputs, member
        if (number, partition) in self._waiting:
            self._waiting.remove((number, partition))
        while number in self._running and all(each in running.said for each in self._places(running)):
            self._judge(number, running)

    def _judge(self, number: int, running: _Running) -> None:
        """Judge a trial that has reached its rung, and let it go on or end it."""
        members = {place: running.members[place] for place in self._places(running)}
        outputs = self.judge.combined(members, running.said, running.kind)
        score = self.judge.score(outputs, running.kind)
        if not np.isfinite(score):
            self._end(number, "failed", reason=f"its score is {score}")
            return
        rung = self.plan.rungs[running.rung]
        running.scores[rung], running.outputs = score, outputs
        running.trial.report(score, rung)
        if rung == self.plan.rungs[-1]:
            self._end(number, "finished")
        elif running.trial.should_prune():
            self._end(number, "pruned")
        else:
            running.rung += 1
            self._wait_for(number)

    def _end(self, number: int, state: TrialState, reason: str = "") -> None:
        running = self._running.pop(number)
        is_chosen_among = state == "finished" and self.plan.keep > 1
        if running.outputs is not None and (is_chosen_among or self.unused is None):
            self._outputs[number] = running.outputs
        self._waiting = deque(unit for unit in self._waiting if unit[0] != number)
        self._units = {unit: of for unit, of in self._units.items() if of[0] != number}
        ended = SearchTrial(
            number=number,
            params=running.params,
            state=state,
            scores=running.scores,
            cpu_seconds=running.cpu_seconds,
            n_fits=running.n_fits,
            started=running.started,
            reason=reason,
        )
        self._tell(running.trial, ended)
        self._leftovers.after(ended, running.kept, {each.kept.key for each in self._running.values()})

    def outputs(self, trials: Sequence[SearchTrial]) -> dict[int, NDArray[np.float64]]:
        """Return the combined outputs on the judged rows of trials that were judged, by number.

        The members of trials that an earlier process ended are asked again; those that were not kept are fitted.
        """
        for each in trials:
            if each.number not in self._outputs:
                self._outputs[each.number] = self._asked(each, self.bench, self.judge)[0]
        return {each.number: self._outputs[each.number] for each in trials}

    def score_on_unused(self, trial: SearchTrial) -> float | None:
        """Return what a trial scores on the rows that judged none, None where there are none or it is not defined."""
        if self.unused is None:
            return None
        judge = replace(self.judge, rows=self.unused)
        score = judge.score(*self._asked(trial, replace(self.bench, X=self.unused.X), judge))
        return score if np.isfinite(score) else None

    def _asked(self, trial: SearchTrial, bench: Bench, judge: Judge) -> tuple[NDArray[np.float64], OutputKind]:
        """Return what the members of a trial that has ended say about the rows of a bench, combined."""
        template = self._template_with(trial.params)
        kind, kept, there = self._known(template)
        units = (
            Task(
                partition,
                self._unit(
                    template, kind, kept, partition, there.get(partition), self._asked_about(partition, judge.rows)
                ),
            )
            for partition in self.plan.places[trial.n_partitions]
        )
        said, members = {}, {}
        for outcome in self.executor.run(fit_and_ask, bench, units, members=True):
            if outcome.duplicate:
                continue
            result: UnitResult = value_of(outcome)
            if result.fitted is not None:
                kept.settle(replace(outcome, value=result.fitted), for_driver=False)
            said[outcome.id] = self._spread(outcome.id, judge.rows, result.outputs)
            members[outcome.id] = _spokesman(outcome.id, result, there.get(outcome.id))
        return judge.combined(members, said, kind), kind

    def _template_with(self, params: Mapping[str, Any]) -> Any:
        """Return the learner of a trial, as a fit would prepare it: members are then the same."""
        template = with_parameters(type(self.template).__name__, self.template, params)
        return with_categories(template, self.levels)

    def _known(self, template: Any) -> tuple[OutputKind, KeptMembers, dict[int, Member]]:
        """Return what the members of a configuration say, where they are kept, and those that are there already."""
        kept = self.checkpoint.opened(replace(self.bench.job, template=template), self.cut)
        there = {member.partition: member for member in kept.loaded(kept.taken(self.cut.partitions))}
        return kind_of(template, self.judge.n_classes), kept, there

    def _asked_about(self, partition: int, rows: JudgedRows) -> NDArray[np.int64] | None:
        """Return about which rows a member is asked, None for all: one model only about those that judge its rung."""
        if self.plan.fidelity == "members":
            return None
        return rows.unseen(partition, first=partition not in self.plan.places[self.plan.rungs[-1]])

    def _spread(self, partition: int, rows: JudgedRows, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a member says about all rows, NaN for those that it was not asked about."""
        asked = self._asked_about(partition, rows)
        if asked is None:
            return outputs
        spread = np.full((len(rows.y), *outputs.shape[1:]), np.nan)
        spread[asked] = outputs
        return spread

    def _unit(
        self,
        template: Any,
        kind: OutputKind,
        kept: KeptMembers,
        partition: int,
        there: Member | None,
        asked: NDArray[np.int64] | None,
    ) -> UnitWork:
        rows = None if there is not None else self._rows_of(partition)
        return UnitWork(template=template, kind=kind, rows=rows, kept=kept, asked=asked, member=there)

    def _rows_of(self, partition: int) -> Callable[[], Any]:
        """Return what gives workers the rows of a partition: many trials want them, and they are sent once."""
        if partition not in self._lent:
            self._lent[partition] = self.executor.lend(self.cut.payload(partition))
        return self._lent[partition]

    def _tell(self, trial: Trial, ended: SearchTrial) -> None:
        told = {name: getattr(ended, name) for name in ("state", "cpu_seconds", "n_fits", "started", "reason")}
        trial.set_user_attr(_TOLD, json.dumps(told))
        state = {"finished": OptunaState.COMPLETE, "pruned": OptunaState.PRUNED}
        value = ended.score if ended.state == "finished" else None
        if ended.state != "stopped":  # the study has it as running, so that a larger budget takes it up again
            self.study.tell(trial, value, state.get(ended.state, OptunaState.FAIL))
        self.observe(ended)

    def _told(self, frozen: FrozenTrial) -> SearchTrial:
        return SearchTrial(
            number=frozen.number,
            params=self.plan.space.parameters(frozen.params),
            scores=dict(frozen.intermediate_values),
            **json.loads(frozen.user_attrs[_TOLD]),
        )


def _spokesman(partition: int, result: UnitResult, there: Member | None) -> Member:
    """Return what a combiner may ask of a member whose outputs are there: all but the estimator."""
    if there is not None:
        return replace(there, estimator=None)
    fitted = result.fitted
    assert fitted is not None  # noqa: S101 - it was either there or fitted
    return Member(
        partition=partition,
        estimator=None,
        classes=fitted.classes,
        content_digest=fitted.content_digest,
        weight=fitted.weight,
        target_range=fitted.target_range,
    )


def _why(failure: TaskFailure) -> str:
    return f"{failure.error_type}: {failure.message}" if failure.reason == "error" else failure.message
