"""Known mistakes in schedules, each recognised by the lrs that it gives beside the right ones.

Longer than two screens: eleven kinds, tried in this order.
"""

from collections.abc import Callable, Iterator

import numpy as np

Curve = np.ndarray


def apart(curve: Curve, truth: Curve) -> int | None:
    """The first step at which the lrs differ by more than rounding (float32's included), None if nowhere.

    `truth` may be longer than `curve`.
    """
    wrong = np.flatnonzero(~_close(curve, truth[: len(curve)], truth.max()))
    return int(wrong[0]) if len(wrong) else None


def diagnose(curve: Curve, truth: Curve, *, lr: float, epoch: int | None = None) -> str | None:
    """The sentence of the first mistake that explains `curve`, shape (steps,); None if none does.

    `truth`, shape (steps + 1,), are the right lrs and one more; the two differ, see apart().
    """
    for mistake in _MISTAKES:
        for told in mistake(curve, truth, lr, epoch):
            return told
    return None


def _close(a: Curve, b: Curve, top: float, *, loose: float = 1.0) -> np.ndarray:
    return abs(a - b) <= loose * (1e-5 * abs(b) + 3e-7 * top)


def _same(a: Curve, b: Curve, top: float, **options) -> bool:
    """Equal, and a curve at that: two equal constants prove nothing."""
    return len(a) > 2 and np.ptp(b) > 1e-6 * top and bool(_close(a, b, top, **options).all())


def _peak(truth: Curve) -> int:
    """The last step of the warm-up: where the lr is highest for the first time; 0 if it does not rise."""
    place = int(np.argmax(truth >= truth.max() * (1 - 1e-9)))
    return place if truth[0] < 0.9 * truth[place] else 0


# --- each yields its sentence, or nothing ---------------------------------------------------------------------------


def _never_changes(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    if np.ptp(c) <= 1e-9 * abs(c).max():
        yield (
            f"It stays at {c[0]:.4g} in all {len(c)} steps. Does it count epochs? `scheduler.step()` is called after "
            "every optimizer step here."
        )


def _below_zero(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    if c.min() < -1e-6 * r.max():
        yield f"From step {np.argmax(c < 0)} on lr is below 0, and the optimizer climbs: where should it stop falling?"


def _first_step_lost(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    if abs(c[0]) < 1e-9 * r.max() < r[0] and _peak(r):
        yield (
            "Your warm-up starts at lr 0, so the first step does nothing: off by one. The function is called with 0 "
            "for the first step; use `step + 1` in the warm-up."
        )


def _no_warm_up(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    if (peak := _peak(r)) and c[0] > 0.95 * c.max() and c[0] > 0.9 * r.max():
        yield (
            f"The warm-up is missing: you start at the full lr. It should rise from {r[0]:.4g} to {r[peak]:.4g} in the "
            f"first {peak + 1} steps."
        )


def _off_by_one(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    n, top = len(c), r.max()
    if _same(c, r[1 : n + 1], top):
        yield (
            "It runs one step early, off by one: each lr is that of the step after. The first step has the number 0, "
            "and a milestone m first changes the lr of step m."
        )
    if _same(c[1:], r[: n - 1], top):
        yield "It runs one step late, off by one: each lr is that of the step before. The first step has the number 0."


def _wrong_base(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    r = r[: len(c)]
    top = int(r.argmax())
    share = c[top] / r[top]
    if share > 0 and _same(c, share * r, share * r.max()):
        if abs(share - lr) < 1e-6 * lr:
            yield (
                f"Every lr is multiplied by lr ({lr:g}) once too often. The function of LambdaLR returns a factor, "
                "which LambdaLR itself multiplies by the first lr."
            )
        yield (
            f"The shape is right and every lr is {share:.4g} times what it should be: the base lr is wrong. A "
            "scheduler starts from the lr of the optimizer's group; leave it alone, and return factors of it."
        )


def _tempo(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    n, top = len(c), r.max()
    for m in ([epoch] if epoch else []) + list(range(2, n // 3 + 1)):
        reason = " An epoch has as many iterations" if m == epoch else ""
        if _same(c[: len(r[:n:m])], r[:n:m], top):
            yield (
                f"It runs {m} times too fast.{reason + ': i' if reason else ' I'}t counts epochs, "
                "and is stepped after every iteration."
            )
        if _same(c[::m], r[: len(c[::m])], top):
            yield (
                f"It runs {m} times too slowly.{reason + ': i' if reason else ' I'}t counts iterations where epochs, "
                "or larger units, are counted."
            )


def _floor(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    r = r[: len(c)]
    top, peak = r.max(), _peak(r)
    low, ours = r.min() if r.argmin() > peak else 0.0, c[peak:].min()
    if low > 1e-6 * top and _clipped(c, r, low):
        yield f"The lr must not fall below {low:.4g}: is a floor ignored, or is there one drop too many?"
    # Where an end is scaled in, as by eta_min, all that follows the peak is changed in proportion.
    fall = r[peak] - r[-1]
    if not fall > 1e-6 * top or not _close(c[: peak + 1], r[: peak + 1], top).all():
        return
    end = c[-1]
    if _same(c[peak:], end + (r[peak:] - r[-1]) * (r[peak] - end) / fall, top, loose=5):
        if end < r[-1]:
            yield (
                f"The floor is {'ignored' if end < 0.1 * r[-1] else 'too low'}: you end at {end:.4g}, not at "
                f"{r[-1]:.4g}. Scale what is above the floor: floor + (1 - floor) × share."
            )
        yield f"You end at {ours:.4g}, not at {r[-1]:.4g}: the floor is too high. Is it a share of lr, or an lr itself?"


def _clipped(c: Curve, r: Curve, low: float) -> bool:
    """Whether r is c held at `low`."""
    return bool(_close(np.maximum(c, low), r, r.max()).all())


def _decay_after_warm_up(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    n, top, peak = len(c), r.max(), _peak(r)
    start = peak + 1
    if not peak or n - start < 5 or not _close(c[:start], r[:start], top).all():
        return
    t, whole, left = np.arange(start, n), n, n - start

    def right_at(places):  # between two steps, where the curve is all but straight
        return np.interp(places, np.arange(len(r)), r)

    def leads(places) -> bool:
        return bool((abs(c[start:] - right_at(places)) < 2e-3 * top).all())

    if leads(start + t * left / whole):
        yield (
            "After the warm-up your decay counts from step 0, so lr jumps: let it start when the warm-up ends, at "
            "`step - warm_up`."
        )
    if leads(start + (t - start) * left / whole):
        yield (
            "Your decay is spread over all steps, but the warm-up has used some: divide by the steps that are left, "
            "`total - warm_up`."
        )


def _climbs_again(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    n, top = len(c), r.max()
    step = apart(c, r)
    rising = np.diff(c) > 1e-6 * top
    wrong = rising & ~(np.diff(r[:n]) > 1e-6 * top)
    if step > 1 and wrong[step - 1 :].any() and not wrong[: step - 1].any():
        first = int(np.argmax(wrong))
        if wrong[first:].mean() > 0.3:
            yield f"From step {first} on lr climbs again, as CosineAnnealingLR does after T_max. It should not."


def _one_change(c: Curve, r: Curve, lr: float, epoch: int | None) -> Iterator[str]:
    """What happens at the first step that differs, where the right lr jumps or rests."""
    step, top = apart(c, r), r.max()
    if not step or r[step - 1] <= 0 or c[step - 1] <= 0:
        return
    ours, theirs = c[step] / c[step - 1], r[step] / r[step - 1]
    around = np.diff(r[max(0, step - 3) : step + 3])
    if (abs(around) > 1e-6 * top).sum() > 1:  # a curve, not stairs
        return
    if abs(theirs - 1) < 1e-9:
        yield f"Here your lr is multiplied by {ours:.4g}, and nothing should happen."
    elif abs(ours - 1) < 1e-9:
        yield f"Here lr should be multiplied by {theirs:.4g}, and yours stays."
    else:
        yield f"Here your lr is multiplied by {ours:.4g}, and {theirs:.4g} would be right."


_MISTAKES: list[Callable[[Curve, Curve, float, int | None], Iterator[str]]] = [
    _never_changes,
    _below_zero,
    _first_step_lost,
    _no_warm_up,
    _off_by_one,
    _wrong_base,
    _tempo,
    _floor,
    _decay_after_warm_up,
    _climbs_again,
    _one_change,
]
