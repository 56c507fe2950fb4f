"""What happened in a run of the workflow: its record, the summary at its end, and who is told."""
