"""Driving the hardware: memory files, export, simulation, synthesis."""
