"""External programs: find, version, run; a missing one is a ToolError that says what to set."""
