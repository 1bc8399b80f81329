"""Known mistakes in schedules, each recognised by the lrs that it gives beside the right ones.

A mistake predicts every lr that it would lead to, and its sentence is said only where all of them are those that were
seen: diagnose() compares, so no mistake can be named on a part of the evidence. How fast a schedule runs, and where it
ends, shows in steps that were not asked for, too: those are looked at as well.

Longer than two screens: eleven kinds, tried in this order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Curve = np.ndarray
Longer = Callable[[int], Curve | None]
MOST_STEPS = 60_000  # how far a schedule is run on to see whether it is another at another speed


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known of a schedule that is wrong.

    curve       (n,): its lrs
    right       (n,): what they should be; `truth`, shape (n + 1,), has one more
    lr          the base lr
    epoch       the number of iterations in an epoch, or None
    curve_to    curve_to(steps): the lrs of more steps, or None where it has none
    truth_to    the same of the right schedule
    """

    curve: Curve
    truth: Curve
    lr: float
    epoch: int | None
    curve_to: Longer
    truth_to: Longer

    @cached_property
    def right(self) -> Curve:
        """The lrs that were asked for."""
        return self.truth[: len(self.curve)]

    @cached_property
    def top(self) -> float:
        """The highest right lr: rounding is measured by it."""
        return float(np.nanmax(abs(self.truth)))

    @cached_property
    def step(self) -> int:
        """The first step at which the two differ."""
        return apart(self.curve, self.truth)

    @cached_property
    def peak(self) -> int:
        """The last step of the warm-up: where the lr is highest for the first time; 0 if it does not rise."""
        place = int(np.argmax(self.right >= self.right.max() * (1 - 1e-9)))
        return place if self.right[0] < 0.9 * self.right[place] else 0


Explanation = tuple[Curve, str] | tuple[Curve, str, Curve]  # all lrs, the sentence, how far off they may be
Mistake = Callable[[Seen], Iterator[Explanation]]


def apart(curve: Curve, truth: Curve) -> int | None:
    """The first step at which the lrs differ by more than rounding (float32's included), None if nowhere.

    `truth` may be longer than `curve`.
    """
    wrong = np.flatnonzero(~_close(curve, truth[: len(curve)], np.nanmax(abs(truth))))
    return int(wrong[0]) if len(wrong) else None


def _nothing_longer(steps: int) -> None:
    return None


def diagnose(
    curve: Curve,
    truth: Curve,
    *,
    lr: float,
    epoch: int | None = None,
    curve_to: Longer = _nothing_longer,
    truth_to: Longer = _nothing_longer,
) -> str | None:
    """The sentence of the first mistake that explains all of `curve`, shape (steps,); None if none does.

    `truth`, shape (steps + 1,), are the right lrs and one more, nan where there is none; the two differ, see apart().
    `curve_to(steps)` and `truth_to(steps)` give the lrs of as many steps, or None: without them nothing is said of a
    schedule's speed.
    """
    seen = Seen(curve, truth, lr, epoch, curve_to, truth_to)
    if len(curve) < 3:  # too few to prove anything
        return None
    for mistake in [_never_changes] if _constant(curve, seen.top) else _MISTAKES:
        for lrs, sentence, *slack in mistake(seen):
            if _explains(seen, lrs, *slack):
                return sentence
    return None


def _explains(seen: Seen, lrs: Curve, slack: Curve | float = 0.0) -> bool:
    """Whether these are the lrs that were seen, all of them, and told apart from the right ones by far."""
    vague = np.max(slack) > 0.1 * abs(lrs - seen.right).max()
    return not vague and bool(_close(seen.curve, lrs, seen.top, slack=slack).all())


def _close(a: Curve, b: Curve, top: float, *, slack: Curve | float = 0.0) -> np.ndarray:
    return abs(a - b) <= 1e-5 * abs(b) + 3e-7 * top + slack


def _constant(lrs: Curve, top: float) -> bool:
    return bool(np.ptp(lrs) <= 1e-6 * top)


# --- each yields the lrs that it would lead to, and its sentence ----------------------------------------------------


def _never_changes(seen: Seen) -> Iterator[Explanation]:
    if not _constant(seen.right, seen.top):  # two constants prove nothing
        still = f"It stays at {seen.curve[0]:.4g} in all {len(seen.curve)} steps."
        slowly = next((sentence for _, sentence in _too_slowly(seen)), None)
        yield seen.curve, f"{still} {slowly}" if slowly else still


def _below_zero(seen: Seen) -> Iterator[Explanation]:
    below = seen.curve < -1e-6 * seen.top
    first = int(np.argmax(below))
    if below[first] and below[first:].all() and _constant(seen.right[below], seen.top):
        yield (
            np.where(below, seen.curve, seen.right),
            f"From step {first} on lr is below 0, and the optimizer climbs: where should it stop falling?",
        )


def _first_step_lost(seen: Seen) -> Iterator[Explanation]:
    if peak := seen.peak:
        yield (
            np.r_[0.0, seen.right[:peak], seen.right[peak + 1 :]],
            "Your warm-up starts at lr 0, so the first step does nothing: off by one. The function is called with 0 "
            "for the first step; use `step + 1` in the warm-up.",
        )


def _no_warm_up(seen: Seen) -> Iterator[Explanation]:
    if not (peak := seen.peak):
        return
    n, right, none = len(seen.curve), seen.right, np.zeros(len(seen.curve))
    missing = (
        f"The warm-up is missing: you start at the full lr. It should rise from {right[0]:.4g} to {right[peak]:.4g} in "
        f"the first {peak + 1} steps."
    )
    without = [(np.r_[np.full(peak, right[peak]), right[peak:]], none)]
    longer = seen.truth_to(n + peak + 1)
    if longer is not None:  # all of the decay comes early
        without += [(longer[start : start + n], none) for start in (peak, peak + 1)]
    for start in (peak, peak + 1):  # the decay is spread over all steps
        without.append(_at(start + np.arange(n) * (n - start) / n, seen.truth))
    for lrs, slack in without:
        yield lrs, missing, slack
        scaled = _to_another_end(lrs, seen.curve[-1])
        if scaled is not None:
            ends = f"{missing} And your decay has come down to {seen.curve[-1]:.4g}, not to {lrs[-1]:.4g}."
            yield scaled, ends, slack + slack[-1]  # the end is vague, too, and all is scaled by it


def _off_by_one(seen: Seen) -> Iterator[Explanation]:
    yield (
        seen.truth[1 : len(seen.curve) + 1],
        "It runs one step early, off by one: each lr is that of the step after. The first step has the number 0, "
        "and a milestone m first changes the lr of step m.",
    )
    if _may_precede(seen.curve[0], seen):
        yield (
            np.r_[seen.curve[0], seen.right[:-1]],
            "It runs one step late, off by one: each lr is that of the step before. The first step has the number 0.",
        )


def _may_precede(first: float, seen: Seen) -> bool:
    """Whether this could be the lr before the first of the right ones: it rests, goes on backwards, or is the base."""
    r0, r1 = seen.right[:2]
    backwards = [r0, r1, 2 * r0 - r1] + ([r0 * r0 / r1] if r0 * r1 > 0 else [])
    room = 0.2 * np.ptp(backwards) + 1e-6 * seen.top
    return min(backwards) - room <= first <= max(backwards) + room or bool(np.isclose(first, seen.lr, rtol=1e-6))


def _wrong_base(seen: Seen) -> Iterator[Explanation]:
    top = int(seen.right.argmax())
    if not seen.right[top] > 0:
        return
    share = seen.curve[top] / seen.right[top]
    if not share > 0 or _constant(seen.right, seen.top):
        return
    if abs(share - seen.lr) < 1e-6 * seen.lr:
        yield (
            share * seen.right,
            f"Every lr is multiplied by lr ({seen.lr:g}) once too often. The function of LambdaLR returns a factor, "
            "which LambdaLR itself multiplies by the first lr.",
        )
    yield (
        share * seen.right,
        f"The shape is right and every lr is {share:.4g} times what it should be: the base lr, or every "
        "factor. A scheduler starts from the lr of the optimizer's group: leave that alone, and return factors of it.",
    )


def _too_fast(seen: Seen) -> Iterator[Explanation]:
    n = len(seen.curve)
    for m in _speeds(seen):
        sample = seen.truth[::m]
        if not _close(seen.curve[: len(sample)], sample, seen.top).all():
            continue
        longer = seen.truth_to(m * (n - 1) + 1)
        if longer is not None and _is_slowed(longer, seen.curve, m):
            cause = "does it count epochs, and is stepped after every iteration?"
            if m == seen.epoch:
                cause = "an epoch has as many iterations: it counts epochs, and is stepped after every iteration."
            yield longer[::m], f"It runs {m} times too fast. {cause[0].upper()}{cause[1:]}"


def _too_slowly(seen: Seen) -> Iterator[Explanation]:
    n = len(seen.curve)
    for m in _speeds(seen):
        sample = seen.curve[::m]
        if not _close(sample, seen.truth[: len(sample)], seen.top).all():
            continue
        longer = seen.curve_to(m * (n - 1) + 1)
        if longer is not None and _is_slowed(longer, seen.right, m):
            cause = "does it count iterations where epochs, or larger units, are counted?"
            if m == seen.epoch:
                cause = (
                    "an epoch has as many iterations: it counts iterations where epochs, or larger units, are counted."
                )
            yield longer[:n], f"It runs {m} times too slowly. {cause[0].upper()}{cause[1:]}"


def _speeds(seen: Seen) -> Iterator[int]:
    n = len(seen.curve)
    first = [seen.epoch] if seen.epoch and seen.epoch > 1 else []
    return (m for m in first + list(range(2, n // 3 + 1)) if m * (n - 1) < MOST_STEPS)


def _is_slowed(slow: Curve, fast: Curve, m: int) -> bool:
    """Whether `slow`, shape (m (n - 1) + 1,), is `fast`, shape (n,), at a speed of 1 / m, also between its points.

    Between two points of `fast` it may rest at the first, go straight to the second, bent no more than `fast` itself,
    or go on as before and jump at the second.
    """
    top = max(abs(slow).max(), abs(fast).max())
    if not _close(slow[::m], fast, top).all() or _constant(fast, top):
        return False
    gaps, start, rise, t = slow[:-1].reshape(-1, m), fast[:-1, None], np.diff(fast)[:, None], np.arange(m) / m
    bend = abs(np.diff(np.r_[fast[1], fast, fast[-2]], 2))  # of each point; at both ends as if mirrored
    around = np.max([np.r_[0, bend[:-2]], bend[:-1], bend[1:], np.r_[bend[2:], 0]], axis=0)[:, None]
    before = np.maximum(bend[:-1], np.r_[0, bend[:-2]])[:, None]
    before_rise = np.r_[rise[:1], rise[:-1]]
    rests = _close(gaps, start, top)
    straight = _close(gaps, start + t * rise, top, slack=0.2 * around)
    goes_on = _close(gaps, start + t * before_rise, top, slack=0.6 * t * (t + 1) * before)
    return bool((rests.all(1) | straight.all(1) | goes_on.all(1)).all())


def _floor(seen: Seen) -> Iterator[Explanation]:
    peak, right, curve = seen.peak, seen.right, seen.curve
    low, end = right.min(), curve[-1]
    below = curve < low - 1e-6 * seen.top
    held = below.any() and _constant(right[below] - low, seen.top) and right.argmin() > peak and low > 1e-6 * seen.top
    if held and (curve[seen.step - 1] < low * (1 + 1e-5) or _levels(right) > 2):  # else it is another drop
        yield (
            np.where(below, curve, right),
            f"The lr must not fall below {low:.4g}: is a floor ignored, or is there one drop too many?",
        )
    # Where an end is scaled in, as by eta_min, all that follows the peak is changed in proportion.
    scaled = _to_another_end(right[peak:], end)
    if scaled is None:
        return
    lrs, slack = np.r_[right[:peak], scaled], 1e-6 * seen.top
    if end < right[-1]:
        yield (
            lrs,
            f"The floor is {'ignored' if end < 0.1 * right[-1] else 'too low'}: you end at {end:.4g}, not at "
            f"{right[-1]:.4g}. Scale what is above the floor: floor + (1 - floor) × share.",
            slack,
        )
    elif end > right[-1]:
        yield (
            lrs,
            f"You end at {end:.4g}, not at {right[-1]:.4g}: the floor is too high. Is it a share of lr, "
            "or an lr itself?",
            slack,
        )


def _levels(lrs: Curve) -> int:
    return len(np.unique(np.round(lrs / abs(lrs).max(), 6)))


def _to_another_end(lrs: Curve, end: float) -> Curve | None:
    """A decay brought in proportion to another end; None where a scale proves nothing: two levels, a straight line."""
    top, fall = lrs[0], lrs[0] - lrs[-1]
    if not fall > 1e-6 * top or lrs.min() < lrs[-1] - 1e-6 * top or not end < top:
        return None
    straight = np.linspace(top, lrs[-1], len(lrs))
    if _levels(lrs) < 3 or _close(lrs, straight, top).all():
        return None
    return end + (lrs - lrs[-1]) * (top - end) / fall


def _decay_after_warm_up(seen: Seen) -> Iterator[Explanation]:
    n, start = len(seen.curve), seen.peak + 1
    if not seen.peak or n - start < 5 or np.ptp(seen.right[start:]) < 0.05 * seen.top:
        return
    t, whole, left = np.arange(start, n), n, n - start
    for places, sentence in [
        (
            start + t * left / whole,
            "After the warm-up your decay counts from step 0, so lr jumps: let it start when the warm-up ends, at "
            "`step - warm_up`.",
        ),
        (
            start + (t - start) * left / whole,
            "Your decay is spread over all steps, but the warm-up has used some: divide by the steps that are left, "
            "`total - warm_up`.",
        ),
    ]:
        decay, slack = _at(places, seen.truth)
        yield np.r_[seen.right[:start], decay], sentence, np.r_[np.zeros(start), slack]


def _at(places: np.ndarray, truth: Curve) -> tuple[Curve, Curve]:
    """The lrs between two steps, where the curve is all but straight, and how far it may bend from that."""
    bend = np.r_[0, abs(np.diff(truth, 2)), 0]
    bend = np.maximum.reduce([bend, np.r_[bend[1:], 0], np.r_[0, bend[:-1]]])
    known = np.arange(len(truth))
    return np.interp(places, known, truth), 0.2 * np.interp(places, known, bend)


def _climbs_again(seen: Seen) -> Iterator[Explanation]:
    for first in range(max(1, seen.step - 3), seen.step):  # a cosine leaves its end slowly
        # Folded back and forth between step 0 and `first`, as a cosine is.
        folded = first - abs(np.arange(len(seen.curve)) % (2 * first) - first)
        turns = seen.right[first - 1] > seen.right[first]
        if turns and np.diff(seen.right[first:]).max(initial=0) <= 1e-6 * seen.top:
            yield (
                seen.right[folded],
                f"From step {first} on lr climbs again, as CosineAnnealingLR does after T_max. It should not.",
            )


def _one_change(seen: Seen) -> Iterator[Explanation]:
    """Another factor where the right lr jumps, or a jump where it rests; all that follows is changed by it."""
    step, curve, right = seen.step, seen.curve, seen.right
    if not step or right[step - 1] <= 0 or curve[step - 1] <= 0 or right.min() <= 0 or curve[step] <= 0:
        return
    around = np.diff(right[max(0, step - 3) : step + 3])
    if (abs(around) > 1e-6 * seen.top).sum() > 1:  # a curve, not stairs
        return
    ours, theirs = curve[step] / curve[step - 1], right[step] / right[step - 1]
    once = np.where(np.arange(len(curve)) < step, right, right * ours / theirs)
    if abs(theirs - 1) < 1e-9:
        yield once, f"Here your lr is multiplied by {ours:.4g}, and nothing should happen."
    elif abs(ours - 1) < 1e-9:
        yield once, f"Here lr should be multiplied by {theirs:.4g}, and yours stays."
    else:
        sentence = f"Here your lr is multiplied by {ours:.4g}, and {theirs:.4g} would be right."
        yield once, sentence
        yield right[0] * ours ** (np.log(right / right[0]) / np.log(theirs)), sentence  # at every jump


_MISTAKES: list[Mistake] = [
    _below_zero,
    _first_step_lost,
    _no_warm_up,
    _off_by_one,
    _wrong_base,
    _too_fast,
    _too_slowly,
    _floor,
    _decay_after_warm_up,
    _climbs_again,
    _one_change,
]
