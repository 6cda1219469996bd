"""Schedules and budgets."""
