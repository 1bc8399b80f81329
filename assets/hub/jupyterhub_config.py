"""JupyterHub for a class: `jupyterhub -f assets/hub/jupyterhub_config.py`, in the installation that all share.

Who may log in, as whom a server runs and how much memory it may take is for the hub's own settings to say: load this
file from them, by `load_subconfig("…/assets/hub/jupyterhub_config.py")`. The teaching guide has the recipe.
"""

import os
from pathlib import Path

c = get_config()  # noqa: F821 - JupyterHub defines it
c.Spawner.cmd = [str(Path(__file__).resolve().with_name("start"))]
c.Spawner.default_url = "/lab/tree/optimizer-workshop/my-work/00-start-here.ipynb"
# A class comes all at once. Thirty servers that start together on two processors take longer than any limit, one after
# the other two minutes: who comes later waits for a turn.
c.JupyterHub.concurrent_spawn_limit = os.cpu_count()
c.Spawner.start_timeout = c.Spawner.http_timeout = 300  # seconds
