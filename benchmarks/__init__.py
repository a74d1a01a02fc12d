"""Figures that can be run again, the demo, and the simulated service behind them."""
