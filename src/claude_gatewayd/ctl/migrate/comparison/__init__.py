"""The names that a proxy answered, and what answers them now: `import` records the former, `doctor` compares."""
