"""What the schedule designer says: the alt text of its picture, the table beneath."""

import html
from dataclasses import dataclass

import numpy as np

from utils.labs.designer.choices import ALONE
from utils.practice.schedule_runs import SEEDS, STEPS, Run


@dataclass(frozen=True)
class Shown:
    """What the lab has to show for one setting.

    lr, momentum    (steps,): of each step that the schedule has, or has taken by now if it needs a metric
    error           what the schedule raised if it has fewer steps than the run, or ""
    needs_metric    whether its lr depends on how the training goes
    random          whether it draws random numbers
    schedule        the run under the schedule
    constant        the run at the constant lr
    """

    lr: np.ndarray
    momentum: np.ndarray
    error: str
    needs_metric: bool
    random: bool
    schedule: Run
    constant: Run


def alt_text(values, shown: Shown) -> str:
    """The picture in words; `values` are those of the lab's controls."""
    lr, momentum, error = shown.lr, shown.momentum, shown.error
    name = values["scheduler"] + ("" if values["compose"] == ALONE else f" {values['compose']}, {values['partner']}")
    parts = [f"{name}, lr {values['lr']:.3g}: "]
    if len(lr):
        on_the_way = error or (shown.needs_metric and not shown.schedule.finished)
        parts.append(f"lr {lr[0]:.3g} at first, at most {lr.max():.3g} (step {lr.argmax()}), {lr[-1]:.3g} ")
        parts.append(f"in step {len(lr) - 1}. " if on_the_way else "at last. ")
        if np.ptp(momentum) > 1e-12:
            parts.append(f"Momentum {momentum[0]:.3g} at first, at least {momentum.min():.3g}. ")
    parts.append(f"{error.rstrip('.')}. " if error else f"Its training: {_ending(shown.schedule)}. ")
    if shown.random:
        parts.append("It draws random numbers, here those of one seed: with others it would go elsewhere. ")
    parts.append(f"Constant lr {values['constant']:.3g}: {_ending(shown.constant)}.")
    return "".join(parts)


def table(values, shown: Shown) -> str:
    """How both runs ended, as HTML; `values` are those of the lab's controls."""
    schedule, constant = shown.schedule, shown.constant
    head = "<tr><th></th><th>validation loss</th><th>accuracy</th><th>training loss</th></tr>"
    rows = _row("schedule", schedule) + _row(f"constant {values['constant']:.3g}", constant)
    below = "&nbsp;"
    if schedule.accuracy is not None and constant.accuracy is not None:
        lower = (schedule.loss[-1] < constant.loss[-1]).sum()
        below = f"The schedule ends lower in {lower} of {len(SEEDS)} runs."
    return f"<table>{head}{rows}</table><p>{below}</p>"


def _row(name: str, run: Run) -> str:
    if not run.finished or run.error or run.diverged:
        return f'<tr><th>{name}</th><td colspan="3"><div>{html.escape(_ending(run))}</div></td></tr>'
    loss = run.loss[-1]
    cells = _spread(loss), f"{run.accuracy.mean():.1%}", _short(run.train_loss.mean())
    return f"<tr><th>{name}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _ending(run: Run) -> str:
    if run.error:
        return run.error
    if not run.finished:
        return f"step {run.step} of {STEPS}"
    if run.diverged:
        return f"diverged in {run.diverged} of {len(SEEDS)} runs"
    loss = run.loss[-1]
    return f"validation loss {_spread(loss)}, {run.accuracy.mean():.1%} right"


def _spread(loss: np.ndarray) -> str:
    with np.errstate(over="ignore"):  # a square above 1e308
        return f"{_short(loss.mean())} ± {_short(loss.std(ddof=1))}"


def _short(loss: float) -> str:
    """A loss; one that has exploded without becoming infinite has hundreds of digits."""
    return f"{loss:.3f}" if loss < 1e4 else f"{loss:.1e}"
