"""Lab 3, the schedule designer.

lab          the lab: its controls and its picture
choices      which schedulers there are to choose from, and the code that a choice stands for
background   training between two messages of the page
report       what it says in words: alt text, table
"""
