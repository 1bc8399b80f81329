"""What the launcher runs: nothing here is imported by a lesson.

notebooks    finds a lesson by its number; the tags of its cells and what they mean
copies       the student's own copies, and JupyterLab on them
files        files that are written whole and overwrite none
refresh      runs notebooks and stores their outputs
cheatsheet   the printable page
browser      finds Chromium and starts it
deck         slides: files that need no network, and a live deck on which the labs work
colab        the address of the workshop, in the cell and the badges that Google Colab needs
proof        the tests, all or those of one lesson
installation makes the environment and installs into it, by uv or pip: the launcher's first start
first_import its last step: what a lesson imports is compiled, and torch is known to load
second_environment  beside the first, in build/: another torch, another Python
settings     what JupyterLab is told
signatures   where the installed torch differs from the one for which the lessons were written
wheels       all packages in one folder, for a class without network
"""
