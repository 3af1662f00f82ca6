"""Suites by which a third party proves a store or an executor: subclass one in a test file and say how to make yours."""
