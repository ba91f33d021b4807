"""Times of steps and fits on this machine, beside its memory and beside peers.

`python -m gradstep bench` is the quick form, `python bench/run.py` the full one; both
are `command.main`. From top to bottom:

    command    the command line, and the order of things
    report     the README's table, from the results of a full run
    pictures   the roofline, and what a call costs
    table      results as text
    suites/    what is measured
    steps      calls that take a step: ours, the roofline's, peers'
    row        one case: all its contestants in turns, and what came out
    apart      contestants in processes of their own
    machine    what all figures depend on
    rules      the class and options that lead to a rule, and its bytes
"""
