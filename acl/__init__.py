"""Who may do what: permissions, rules and limits. Pure throughout: no I/O, no clock, no environment.

`engine.decide` is the only door: it answers every question with an `Allow` or a `Deny`, and nothing else builds an
`Allow`. The package imports neither `bridge` nor the other leaves.
"""
