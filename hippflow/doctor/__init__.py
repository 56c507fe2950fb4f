"""What has to be right before a run can be: every subject a check, every check a line or more."""
