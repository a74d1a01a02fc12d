"""The simulated service while it runs: who asks for lists, what they watch, its APIs, and trouble.

    verb ─► run ─► play     windows of time: requests go out, what comes back moves the users

    asking ─► verdicts ─► audience ─┬─► stream ─► trouble ─► a file, or Kafka
    requests,  the        users who │   lines      breaks
    in time    grader     watch     │   of events  them
                                    └─► report
                                        what came of it, and who was better
    apis                    /user/<id>, /movie/<id>, in a process of their own
    outside                 opens stream, trouble and apis, as the command line has it

Trouble changes the world and the traffic, too: `play` reads it with each window.
Windows are worked through in order: the same seed and the same lists give the same run.
"""
