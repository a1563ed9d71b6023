"""What a submitted event is, in either flavour, and how it becomes an entry. Pure.

Read in this order: `input` (what may be sent), `submission` (what it means), `splice` (its bytes).
"""
