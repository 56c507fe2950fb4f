"""The subcommands of ``hippflow``, a module for each subject."""
