"""The labs: sliders around a plot whose still part is a picture and whose moving part is a few lines over it.

find_edge   Lab 1: which lr converges on a ravine, and where the edge is
race        Lab 2: up to six optimizers from the same start; racers says who and where, race_picture draws them
designer    Lab 3: design a schedule, and see at once what it does to training
shell       what all labs have in common; plot_widget draws, goals keeps what was reached
"""

from utils.labs.designer.lab import design_schedule
from utils.labs.find_edge import find_edge
from utils.labs.race import race
from utils.labs.shell import Lab

__all__ = ["Lab", "design_schedule", "find_edge", "race"]
