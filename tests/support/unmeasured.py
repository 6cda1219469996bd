"""Programs that tests start and whose coverage nobody needs: tracing them would double their CPU time."""

NOT_MEASURED = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
"""Environment variables that keep coverage out of a program."""
