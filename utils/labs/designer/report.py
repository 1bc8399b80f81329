"""What the schedule designer says: the alt text of its picture, the table beneath."""

import html

import numpy as np

from utils.labs.designer.choices import ALONE
from utils.practice.schedule_runs import SEEDS, STEPS, Run


def alt_text(values, curves, runs: tuple[Run, Run], plateau: bool) -> str:
    lr, momentum, error = curves
    schedule, constant = runs
    name = values["scheduler"] + ("" if values["compose"] == ALONE else f" {values['compose']}, {values['partner']}")
    parts = [f"{name}, lr {values['lr']:.3g}: "]
    if len(lr):
        parts.append(f"lr {lr[0]:.3g} at first, at most {lr.max():.3g} (step {lr.argmax()}), {lr[-1]:.3g} ")
        parts.append(f"in step {len(lr) - 1}. " if error or (not schedule.finished and plateau) else "at last. ")
        if np.ptp(momentum) > 1e-12:
            parts.append(f"Momentum {momentum[0]:.3g} at first, at least {momentum.min():.3g}. ")
    parts.append(f"{error.rstrip('.')}. " if error else "")
    parts.append("" if error else f"Its training: {_told(schedule)}. ")
    parts.append(f"Constant lr {values['constant']:.3g}: {_told(constant)}.")
    return "".join(parts)


def _told(run: Run) -> str:
    if run.error:
        return run.error
    if not run.finished:
        return f"step {run.step} of {STEPS}"
    if run.diverged:
        return f"diverged in {run.diverged} of {len(SEEDS)} runs"
    loss = run.loss[-1]
    return f"validation loss {loss.mean():.3f} ± {loss.std():.3f}, {run.accuracy.mean():.1%} right"


def table(values, schedule: Run, constant: Run) -> str:
    """How both ended, as HTML."""
    head = "<tr><th></th><th>validation loss</th><th>accuracy</th><th>training loss</th></tr>"
    rows = []
    for name, run in (("schedule", schedule), (f"constant {values['constant']:.3g}", constant)):
        if run.finished and not run.error and not run.diverged:
            loss = run.loss[-1]
            cells = (
                f"{loss.mean():.3f} ± {loss.std():.3f}",
                f"{run.accuracy.mean():.1%}",
                f"{run.train_loss.mean():.3f}",
            )
            rows.append(f"<tr><th>{name}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        else:
            rows.append(f'<tr><th>{name}</th><td colspan="3">{html.escape(_told(run))}</td></tr>')
    lower = f"The schedule ends lower in {(schedule.loss[-1] < constant.loss[-1]).sum()} of {len(SEEDS)} runs."
    done = schedule.accuracy is not None and constant.accuracy is not None
    return f"<table>{head}{''.join(rows)}</table><p>{lower if done else '&nbsp;'}</p>"
