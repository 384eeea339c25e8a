"""The subcommands of ``zoms``, one file per subject; heavy modules are imported when a command runs."""
