"""Lab 3, the schedule designer.

lab          the lab: what it shows for a setting of its controls
choices      which schedulers there are to choose from, and the design that a choice stands for
design       a schedule as data: the scheduler that it makes, the code to copy
controls     the controls, and how they stand around the picture
picture      the picture; report says the same in words: alt text, table
background   training between two messages of the page
"""
