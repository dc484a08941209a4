"""The machine: files, ports, memory, the log, the installation."""
