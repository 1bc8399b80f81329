"""What the launcher runs: nothing here is imported by a lesson.

notebooks    finds a lesson by its number; what the tags of its cells mean
browser      finds Chromium and starts it
copies       the student's own copies, and JupyterLab on them
refresh      runs notebooks and stores their outputs
wheels       all packages in one folder, for a class without network
cheatsheet   the printable page
deck         slides: files that need no network, and a live deck on which the labs work
"""
