"""The command line: `gradsmith demo`, `gradsmith info`."""
