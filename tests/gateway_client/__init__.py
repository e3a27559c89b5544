"""Tests of `gateway_client`: frames, identities, the conversation and the socket under it."""
