"""The feedback loop: lists are learned from what lists have made users watch.

Way in: `python -m benchmarks.loop`.
"""
