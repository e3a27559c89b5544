"""Who may come in: requests a person decides, one-time codes, device tokens, and the store of paired nodes.

The rules are pure (`records`, `desk`, `grant`, `tokens`, `setup_code`, `transcript`, `ceremony` ...); `store`, `codes`,
`tombstones` and `ceremony_ledger` are the files under them; `registrar`, `reception`, `admissions`, `enrolment` and
`issuing` bring the two together.
"""
