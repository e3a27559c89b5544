"""The numbered attacks, over the real daemon: each beside its positive control, and with what has to hold afterwards.

Where each of group D (parsing) and E (forwarding) is shown:

| attack | over the daemon | more of it |
|---|---|---|
| D1 malformed documents | test_d_frames | tests/real/test_bad_input, tests/bridge/lan/test_session_malformed |
| D2 nesting, D3 names twice, D4 numbers | test_d_frames | tests/gateway_client/test_frames, test_frames_malformed |
| D5 encodings, D6 half surrogates | test_d_frames | tests/real/test_bad_input, test_hard_frames |
| D7 odd and many names | test_d_frames | tests/bridge/lan/test_operator_params, test_node_calls |
| D8 sizes, D9 fragments and frames | test_d_floods | tests/bridge/lan/test_frame_rules, test_listener_frames |
| D10 compression | test_d_floods | tests/bridge/lan/test_listener |
| D11 dripping | test_d_floods | tests/bridge/lan/test_listener_limits |
| D12 never reading | test_d_floods | tests/bridge/lan/test_relay |
| D13 requests, D14 paths | test_d_http | tests/bridge/lan/test_listener |
| D15 pings | test_d_floods | tests/bridge/lan/test_listener_frames |
| D16 fuzz | test_d_floods (1 %) | tests/bridge/lan/test_path_fuzz, tests/gateway_client/test_frames_fuzz |
| D17 conformance | | tests/bridge/lan/test_listener_websocket, docs/decisions/0012-websocket-conformance.md |
| E3 smuggling, E4 and E5 ids of others, E6 and E7 claims | test_e_forwarding | tests/bridge/lan/test_node_traffic |
| E13 events down, E14 events up | test_e_events | tests/bridge/lan/test_runs_machine, tests/real/test_agent |
"""
