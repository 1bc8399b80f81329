"""What the notebooks on schedules and practice train, spoil, store and score.

digits_net      a small conv net on digits, all seeds at once or one by one
sick_runs       eight ways to spoil a training run, each really run
schedule_runs   six networks under a schedule, a step at a time (Lab 3, notebook 04a)
range_test      lr_range_test(): raise lr at every step
problems        what 04b trains under each schedule, ready for sweep() and tune()
checkpoint      a whole run in a file, all at once or not at all
belonging       whether what a file holds belongs to the run at hand; plain_values: what it may hold
zen_problem     the Zen of Python as a problem for a recurrent network
budget          what a recipe spends: moves and gradients, whoever does it
leaderboard     a training recipe, scored fairly
"""
