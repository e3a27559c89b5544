"""Tests of `acl`: the tables, the decision and the meter."""
