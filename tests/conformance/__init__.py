"""One set of facts about gateways, held against the embedded one and against the real one."""
