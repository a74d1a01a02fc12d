"""The simulated service while it runs: who asks for lists, what they watch, its APIs, and trouble.

    traffic ─► asking ─► servers          requests when they are due, in a process of their own
                 │
    verdicts ◄───┘                        the grader
       └─► yardstick, viewers ─► telling ─► TroubledStream ─► file or Kafka
                  │  ▲
                tally └── wants ◄── Trouble: what changes the world or the traffic, read each tick
                  └─► metrics, comparison ─► report

    apis                                  /user/<id>, /movie/<id>, in a process of their own

Windows of time are worked through in order: the same seed and the same lists give the same run.
"""
