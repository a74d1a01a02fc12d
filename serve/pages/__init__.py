"""Pages for people: lists, service and generations, in static files and JSON.

    /             lists.html        /pages/data/list, film, search
    /status       status.html       /pages/data/status
    /generations  generations.html  /pages/data/generations, compare, report

`app.py` routes and guards, `reports.py` shows a refresh's report, the other modules make the
JSON. `collector.py`, `jobs.py` and `looks.py` read files that other processes leave. A process
of its own answers, so that no list waits for a page.
"""
