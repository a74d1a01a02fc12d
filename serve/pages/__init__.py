"""Pages for people: lists, service and generations, in static files and JSON.

    /             lists.html        /pages/data/list, film, search
    /status       status.html       /pages/data/status
    /generations  generations.html  /pages/data/generations, compare

`app.py` routes and guards, the other modules make the JSON. A process of its own answers, so
that no list waits for a page.
"""
