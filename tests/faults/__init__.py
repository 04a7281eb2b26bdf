"""Harnesses that make things go wrong: faulty system calls, interrupts, races, forks and power cuts."""
