"""The simulated service while it runs: its stream, its APIs, who asks for lists, and trouble.

world ─► live loop ─► TroubledStream ─► file or Kafka
            │  ▲
            │  └── Trouble: what changes the world or the traffic, read each tick
            └───► apis, in a process of their own: /user/<id>, /movie/<id>
"""
