"""Slides from the notebooks.

page       the template's exporter, and all that goes into a page
frames     a lab that moves without a kernel
pdf        a deck on paper, through a browser
slides     the command that writes files which need no network
present    the command that shows a live deck: server (one kernel, Voilà's widgets), live_cells (which cells run for
           the labs), live_page (the page), code_mode (JupyterLab's deck mode, on a copy)
"""
