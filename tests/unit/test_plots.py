"""Facts about the plots: which are written, and what they say."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from partwise.evaluation import (
    Outputs,
    Truth,
    curve_as_members_are_added,
    reported_metrics,
    resolve_metric,
    score_intervals,
)
from partwise.records import Member
from partwise.report import curves, plots, timeline
from partwise.report.plots import PlotData, write_plots


def _members(count, workers):
    return tuple(
        Member(
            partition=index,
            estimator=None,
            classes=None,
            content_digest="",
            fit_seconds=0.9,
            started=1e9 + index // workers,
            node="a-node-with-quite-a-long-name.cluster.internal",
            process=100 + index % workers,
        )
        for index in range(count)
    )


def _outputs(truth, seed):
    rng = np.random.default_rng(seed)
    if truth.n_classes is None:
        return rng.normal(truth.y, 0.5)[:, None]
    raw = rng.random((len(truth.y), truth.n_classes)) + 0.5 * np.eye(truth.n_classes)[truth.y]
    return raw / raw.sum(axis=1, keepdims=True)


def _data(n_classes=2, members=2, workers=2, n_rows=200):
    rng = np.random.default_rng(0)
    y = rng.normal(size=n_rows) if n_classes is None else np.arange(n_rows) % n_classes
    truth = Truth(y, n_classes)
    kind = "value" if n_classes is None else "probability"
    single, ensemble = (Outputs.from_array(_outputs(truth, seed), kind) for seed in (1, 2))
    metric = resolve_metric(None, n_classes)
    each = [_outputs(truth, seed) for seed in range(members)]
    return PlotData(
        metric=metric.name,
        greater_is_better=metric.greater_is_better,
        truth=truth,
        single=single,
        ensemble=ensemble,
        class_names=tuple(f"class {code}" for code in range(n_classes or 0)),
        intervals=score_intervals(reported_metrics(n_classes), truth, {"single": single, "ensemble": ensemble}),
        members=_members(members, workers),
        growth=curve_as_members_are_added(metric, truth, each, kind, single=single),
    )


def _changed(data, **changes):
    values = {name: getattr(data, name) for name in PlotData.__dataclass_fields__}
    return PlotData(**values | changes)


def _texts_overlap(figure: Figure) -> list[tuple[str, str]]:
    """Return pairs of visible texts of a figure that cover each other."""
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text().strip()]
    scales = [scale for axes in figure.axes for scale in (axes.xaxis, axes.yaxis)]
    # Ticks beyond the limits of a scale exist, and are never drawn.
    undrawn = {
        id(text)
        for scale in scales
        for tick in set(scale.get_major_ticks()) - set(scale._update_ticks())
        for text in (tick.label1, tick.label2)
    }
    texts = [text for text in texts if text.get_visible() and id(text) not in undrawn]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [
        (one, other)
        for index, (one, box) in enumerate(boxes)
        for other, second in boxes[index + 1 :]
        if one != other
        and min(box.x1, second.x1) - max(box.x0, second.x0) > 1
        and min(box.y1, second.y1) - max(box.y0, second.y0) > 1
    ]


@pytest.mark.parametrize(
    ("n_classes", "third"), [(2, "roc.png"), (7, "roc.png"), (12, "roc.png"), (None, "residuals.png")]
)
def test_four_plots_are_written(tmp_path, n_classes, third):
    """Scores, timeline, curves or residuals, and growth are PNG files."""
    paths = write_plots(tmp_path / "plots", _data(n_classes))
    assert [path.name for path in paths] == ["scores.png", "timeline.png", third, "growth.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_what_is_not_defined_is_left_out(tmp_path):
    """Without scores, members and growth there is nothing to draw of them."""
    data = _data()
    single, ensemble = (Outputs(each.labels, None, "vote") for each in (data.single, data.ensemble))
    bare = _changed(data, single=single, ensemble=ensemble, members=(), growth=None, intervals={})
    assert write_plots(tmp_path, bare) == []


@pytest.mark.parametrize(
    ("n_classes", "members", "workers"), [(2, 2, 2), (7, 8, 3), (None, 120, 8), (12, 120, 100), (3, 8, 1)]
)
def test_no_texts_cover_each_other(n_classes, members, workers):
    """Titles, ticks, labels and legends stay apart, for few and many members and classes, and have units."""
    data = _data(n_classes, members, workers)
    figures = [
        plots._scores(data),
        plots._growth(data),
        timeline.draw(data.members),
        curves.draw_roc(data.truth, data.single, data.ensemble, data.class_names)
        or curves.draw_residuals(data.truth, data.single, data.ensemble),
    ]
    for figure in figures:
        assert _texts_overlap(figure) == []
        assert all("[" in axis.get_xlabel() for axis in figure.axes)


def test_titles_state_the_finding():
    """The plot of growth says how good the ensemble is, and from which member on it is as good as one model."""
    data = _data(members=3)
    for value, words in ((0.0, "first as good as one model (0.000) after 1"), (2.0, "never as good as one model (2")):
        figure = plots._growth(_changed(data, growth=replace(data.growth, single=value)))
        title = figure.axes[0].get_title(loc="left")
        assert title.startswith("Accuracy after 3 members is 0.")
        assert words in title.replace("\n", " ")


def test_growth_of_a_loss_is_good_when_it_is_low():
    """Where lower is better, being below one model is as good."""
    data = _data(None)
    worse = replace(data.growth, single=99.0)
    changed = _changed(data, metric="rmse", greater_is_better=False, growth=worse)
    assert "after 1" in plots._growth(changed).axes[0].get_title(loc="left")


def test_the_timeline_starts_with_the_first_member():
    """Bars start at seconds since the first start, on one row for each worker."""
    axis = timeline.draw(_members(8, 4)).axes[0]
    assert sorted({round(bar.get_x(), 6) for bar in axis.patches}) == [0.0, 1.0]
    assert len(axis.get_yticks()) == 4
    assert "8 members on 4 workers took 1.9 s and fitted 95 % of that time" in axis.get_title(loc="left")


def test_many_classes_share_one_mean_curve():
    """Beyond the palette's colours the mean over classes is drawn, not a tangle."""
    for n_classes, lines in ((2, 3), (7, 15), (12, 3)):
        data = _data(n_classes)
        figure = curves.draw_roc(data.truth, data.single, data.ensemble, data.class_names)
        assert len(figure.axes[0].lines) == lines


def test_large_test_sets_are_thinned():
    """Residuals show at most 4,000 rows, the same ones for both models, and say so."""
    data = _data(None, n_rows=6_000)
    figure = curves.draw_residuals(data.truth, data.single, data.ensemble)
    assert [len(axis.lines[1].get_xdata()) for axis in figure.axes] == [4_000, 4_000]
    assert "4,000 of 6,000 test rows shown" in figure.get_suptitle().replace("\n", " ")


def test_the_same_data_give_the_same_files(tmp_path):
    """Plots are reproducible to the byte."""
    first, again = (write_plots(tmp_path / name, _data(None)) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_plots_do_not_load_pyplot():
    """No global state of matplotlib, and no window system, is touched."""
    code = "import sys, partwise.report.plots; print('matplotlib.pyplot' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
