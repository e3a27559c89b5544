"""Ways to ask a person about a device: a dialog, a terminal. `panel` asks them all, and the first answer counts.

`approver` says what a question and an answer are, `wording` puts the question into words; both are pure.
"""
