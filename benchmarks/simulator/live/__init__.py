"""The simulated service while it runs: requests, views, events, its APIs, and faults.

    command ─► run ─► simulation     windows of time: requests are sent, users react to answers

    requests ─► audience ─┬─► stream ─► faults ─► a file, or Kafka
    client,     users who │   lines     change
    grading     watch     │   of events them
                          └─► report
                              metrics, and the comparison of two servers
    apis                  /user/<id>, /movie/<id>, in a process of their own
    environment           opens stream, faults and APIs by the command line

Faults change the world and the traffic, too: `simulation` reads them with each window.
Windows are processed in order: the same seed and the same lists give the same run.
"""
