"""Predictions: a lesson asks first, keeps the answer, and shows it beside what was measured.

    predict("edge-lr", "Which lr ends lowest after 40 steps?", [0.02, 0.18, 0.195, 0.205])
    seen("edge-lr", best_lr, {0.02: "It is safe, and too slow: …", 0.195: …, 0.205: …})
    predictions()
    quiz("lr-lives", "Where does lr live?", {"in self": "Only you know of it.", "in group": "Yes, …"}, right="in group")

question   Question: what is asked, which answers there are, and whether one is right
ask        the form with the button "That is my prediction"
tell       the sentences beside a result, as Markdown
page       Page: what one notebook has asked and seen
quizzes    Quiz: its quick questions, whose answers are told at once
"""

from utils.predictions.page import Page
from utils.predictions.quizzes import Quiz

_page = Page()  # of this kernel
predict, seen, predictions = _page.predict, _page.seen, _page.predictions
quiz = Quiz(_page).ask

__all__ = ["Page", "Quiz", "predict", "predictions", "quiz", "seen"]
