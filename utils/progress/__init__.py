"""Progress: what a student has done is remembered, in answers.json beside the copies.

    progress.mine.note("exercises", "check_resume", said="Right: …")

A check that passes, a lab's goal that is reached and a look at the leaderboard are noted so, and predictions are kept.

journal   answers.json: no crash, full disk or second kernel loses what is in it
"""

from pathlib import Path

from utils.progress.journal import Journal

mine = Journal(Path.cwd())  # of this kernel

__all__ = ["Journal", "mine"]
