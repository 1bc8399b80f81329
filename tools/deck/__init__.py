"""Slides from the notebooks: the templates, scripts and styles lie in assets/deck.

slides         the command that writes files which need no network
notes          what the instructor says at each slide, made from its cells
page           the template's exporter, and all that goes into a page
frames         a lab that moves without a kernel
pdf            a deck on paper, through a browser

present        the command that shows a live deck
server         its server: one kernel, one page
voila_parts    what it takes from Voilà and jupyter_server
live_page      its page, with a place for every widget

parts          which sections a deck shows; for both kinds of decks, and so is
needed_cells   which cells run so that the labs do
"""
