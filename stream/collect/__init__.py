"""The collector: Kafka and growing files into day partitions, without loss.

    source ─► buffer ─► flush ─► partitions      the file is the truth,
                          │                      the broker's committed offset a hint
                          ▼
                       ledger                    which part of which log is in which file

`command` starts it, `collector.Collector` is its loop.
"""
