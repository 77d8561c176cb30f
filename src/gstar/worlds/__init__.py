"""Worlds: where the outer loop's tasks and trials come from.

recorded   a table of remembered trials
live       tasks on which models are trained now, in processes of their own
rewards    what a score is worth
"""
