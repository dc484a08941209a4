"""The machine: files, ports, memory, output, the installation."""
