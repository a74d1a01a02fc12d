"""The cold start in a whole refresh, read through the server's lookups."""

import json
import random

import pytest

from batch.__main__ import main
from serve.worker.served import Served
from store.check import broken_records
from store.snapshot import open_snapshot

GENRES = ("War", "Love")
OVERVIEWS = ("Soldiers fight a battle at the front.", "Lovers meet, part and kiss in the rain.")
NEW = {"the+last+soldier+2026": 0, "one+summer+kiss+2026": 1}


@pytest.fixture
def service(tmp_path, monkeypatch):
    """Write 240 users of two groups, 60 films of two genres and two new ones; return a refresh."""
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    rng = random.Random(3)
    films = {f"silent+film+number{row:02}+1990": row % 2 for row in range(60)}
    rows = list(films)
    views = [
        (user, rows[rng.randrange(30) * 2 + (user % 2 if rng.random() < 0.9 else 1 - user % 2)])
        for user in range(240)
        for _ in range(9)
    ]
    (tmp_path / "views.tsv").write_text("".join(f"{user}\t{film}\n" for user, film in views))
    write_lines(tmp_path / "films", (movie(name, kind) for name, kind in (films | NEW).items()))

    def refresh(*people, **changes):
        jobs = ("writer", "nurse")
        profiles = [
            {"user_id": n, "age": 30, "gender": "FM"[n % 2], "occupation": jobs[n % 2]}
            for n in range(240)
        ]
        write_lines(tmp_path / "people", (*profiles, *people))
        for key, value in ({"n_factors": "8"} | changes).items():  # enough for two groups
            monkeypatch.setenv(f"MARQUEE_BATCH_{key.upper()}", value)
        arguments = ["--events", "views.tsv", "--catalogue", "films", "--profiles", "people"]
        assert main(["refresh", *arguments, "--store", "store"]) == 0
        return open_snapshot(tmp_path / "store", 1)

    return refresh


def write_lines(path, answers):
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers))


def movie(item_id, kind):
    title, _, year = item_id.replace("+", " ").rpartition(" ")
    return {
        "id": item_id, "title": title.title(), "release_date": f"{year}-05-01", "runtime": 90,
        "genres": [{"id": kind, "name": GENRES[kind]}], "overview": OVERVIEWS[kind],
        "original_language": "en",
    }  # fmt: skip


def names(body):
    return body.decode().split(",")


def test_new_film_has_neighbours_of_its_genre_and_is_in_lists(service):
    """It has a row in the index, is a neighbour of other films, and is recommended."""
    with service(model="als") as snapshot:
        assert list(broken_records(snapshot)) == []
        kinds = {name: json.loads(about)["genres"][0] for name, about in snapshot.items}
        shown = [name for _, body in snapshot.users for name in body.split(b",")]
        rows = dict(snapshot.rows)
        for film, kind in NEW.items():
            neighbours = names(snapshot.similar.get(film.encode()))
            assert len(neighbours) == 20
            of_its_kind = [kinds[name.encode()] == GENRES[kind] for name in neighbours]
            assert sum(of_its_kind) > 15
            assert any(film in names(body) for _, body in snapshot.similar)
            assert film.encode() in rows.values()
            assert film.encode() in shown
        assert snapshot.manifest.metrics["new_items"] == 2
        assert snapshot.manifest.metrics["new_items_regularization"] > 0


def test_new_films_are_recommended_to_users_of_their_genre(service):
    """The war film is in lists and spares of even users, the other in those of odd users."""
    with service(model="als") as snapshot:
        for film, kind in NEW.items():
            owners = [
                int(user) % 2
                for user, body in (*snapshot.users, *snapshot.spares)
                if film in names(body)
            ]
            assert len(owners) > 10
            assert owners.count(kind) > 0.8 * len(owners)


def test_new_items_none_excludes_new_films(service):
    with service(new_items="none") as snapshot:
        shown = {name for _, body in (*snapshot.users, *snapshot.similar) for name in names(body)}
        assert shown.isdisjoint(NEW)
        assert len(dict(snapshot.rows)) == 60
        assert "new_items" not in snapshot.manifest.metrics
        assert json.loads(snapshot.items.get(next(iter(NEW)).encode()))["title"]  # it exists


@pytest.mark.parametrize("model", ["item_knn", "bpr", "popularity"])
def test_new_films_have_neighbours_with_every_model(service, model):
    with service(model=model, bpr_iterations="5") as snapshot:
        assert {len(names(snapshot.similar.get(film.encode()))) for film in NEW} == {20}
        assert list(broken_records(snapshot)) == []


def test_user_with_likes_has_a_list_in_the_snapshot(service):
    """The items they named are not in it."""
    likes = "I love Silent Film Number08, silent film number10 and war films."
    person = {
        "user_id": 900,
        "likes": likes,
        "dislikes": "Silent Film Number12; not The Last Soldier",
    }
    with service(person) as snapshot:
        own = names(Served(snapshot).get(b"900"))
        assert len(own) == 20
        named = {f"silent+film+number{row:02}+1990" for row in (8, 10, 12)}
        assert named.isdisjoint({*own, *names(snapshot.spares.get(b"900"))})
        assert "the+last+soldier+2026" not in own
        is_even = [int(name.split("number")[1][:2]) % 2 == 0 for name in own[:5]]
        assert sum(is_even) >= 4
        assert snapshot.manifest.counts["recs.mdb/users"] == 241
        assert list(broken_records(snapshot)) == []


def test_summary_counts_lists_from_likes(service, capsys):
    with service({"user_id": 900, "likes": "Silent Film Number08"}):
        assert "241 with a list of their own\n" in capsys.readouterr().out


def test_server_backs_off_from_segment_to_segment(service):
    """The most specific one first; without any the user gets the popular list.

    So does a user with likes, where `preference_lists` is off.
    """
    people = [
        {"user_id": 901, "age": 31, "gender": "F", "occupation": "writer"},
        {"user_id": 902, "age": 31, "gender": "F", "likes": "Silent Film Number08"},
        {"user_id": 903, "age": 70, "gender": "F", "occupation": "astronaut"},
        {"user_id": 904, "age": 70, "occupation": "nurse"},
        {"user_id": 905, "age": 70, "gender": "X"},
    ]
    with service(*people, preference_lists="false") as snapshot:
        served, lists = Served(snapshot), dict(snapshot.fallback)
        for user, segment in (
            (901, "25-34/F/writer"),
            (902, "25-34/F"),
            (903, "F"),
            (904, "nurse"),
        ):
            answer = served.answer(b"%d" % user)
            assert answer.source == "segment"
            assert answer.names == lists[segment.encode()].split(b",")
        assert served.answer(b"905").source == "popular"
        assert lists[b"F"] != lists[b"M"]


MALFORMED: dict[str, dict[str, object]] = {
    "likes null": {"likes": None, "dislikes": None},
    "likes of a megabyte": {"likes": "Silent " * 150_000, "dislikes": "x" * (1 << 20)},
    "likes of another type": {"likes": {"a": 1}, "dislikes": 7},
    "likes that name nothing": {"likes": "it is up to her", "dislikes": "?"},
    "half a character": {"likes": "\ud83d Heat"},
}


def test_malformed_likes_fall_back_to_the_segment(service):
    """They are not an error, and users who name nothing known have no list of their own."""
    people = [
        {"user_id": 900 + n, "gender": "F", **likes} for n, likes in enumerate(MALFORMED.values())
    ]
    with service(*people) as snapshot:
        for number, what in enumerate(MALFORMED):
            user = b"%d" % (900 + number)
            assert snapshot.users.get(user) is None, what
            assert snapshot.profiles.get(user) == b"F", what


def test_malformed_content_is_ignored(service, tmp_path):
    """Overviews of other types, unknown languages, year 0: the valid fields are kept."""
    malformed = [
        {"id": "a+0000", "title": "A", "overview": {"a": 1}, "genres": [{"name": "War"}]},
        {"id": "b+1990", "title": "B", "overview": "x" * (1 << 20), "original_language": "??"},
        {"id": "c+1990", "title": "C", "overview": 7, "release_date": "0000-00-00", "genres": []},
    ]
    with (tmp_path / "films").open("a") as file:
        file.writelines(json.dumps(answer) + "\n" for answer in malformed)
    with service() as snapshot:
        rows = set(dict(snapshot.rows).values())
        assert {b"a+0000", b"b+1990"} <= rows
        assert b"c+1990" not in rows
        assert list(broken_records(snapshot)) == []


def test_catalogue_order_and_threads_change_no_byte(service, tmp_path):
    person = {"user_id": 900, "likes": "Silent Film Number08 and war"}
    service(person).close()
    first = bytes_of(tmp_path)
    (tmp_path / "store").rename(tmp_path / "before")
    lines = (tmp_path / "films").read_text().splitlines(keepends=True)
    (tmp_path / "films").write_text("".join(reversed(lines)))
    service(person, n_threads="1").close()
    assert bytes_of(tmp_path) == first


def bytes_of(folder):
    snapshot = folder / "store" / "snapshots" / "000001"
    return [(snapshot / name).read_bytes() for name in ("recs.mdb", "factors.mdb", "items.ann")]
