"""Tests of Clawdis Bridge; the tree below mirrors the packages it tests."""
