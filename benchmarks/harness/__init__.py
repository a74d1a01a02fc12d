"""What all benchmarks share, one module a concern.

arguments  types of command-line arguments, and options in common
data_sets  real data sets by name, and how to read one
snapshots  a published snapshot out of tables in memory
processes  the kernel's figures of processes; waiting for a condition
servers    commands started and ended together; `python -m serve` among them
tables     Markdown tables on standard error
report     one JSON object a figure on standard output
errors     the family of errors
"""
