"""The service's user and movie APIs, asked for the ids that the events name.

events ─► ids ─► due: not answered, or long ago ─► client ─► journal ─► cache ─► refresh
          ids.py                         cache.py   │  pace   journal    cache.py, Parquet
                                                    └─ answers           └─ schema: violations

`command` has the verb `python -m batch fetch`, `fetch.fetch_all` asks the APIs. Only `client`
imports aiohttp, the extra `fetch`; `cache` is what a refresh reads.
"""
