"""Vectors from outside in a whole refresh: lists of new items and new users, costs, warnings."""

import hashlib
import json
import random
from pathlib import Path

import pytest

from batch.__main__ import main
from store.check import broken_records
from store.snapshot import open_snapshot
from tests.batch.made_vectors import vector_of_kind, write_vectors

N_USERS, N_FILMS = 400, 60
FILMS = {f"film+{row:02}": row % 2 for row in range(N_FILMS)}
NEW_FILMS = {"new+a": 0, "new+b": 1}
NEW_USERS = {"9000": 0, "9001": 1, "9002": 0, "9003": 1}


@pytest.fixture
def service(tmp_path, monkeypatch):
    """Write views of two groups of users and films, and a catalogue of ids; return a refresh."""
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    monkeypatch.setenv("MARQUEE_BATCH_N_FACTORS", "8")  # enough for two groups
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "als")
    monkeypatch.setenv("MARQUEE_BATCH_WARM_START", "false")  # two refreshes begin alike
    rng = random.Random(3)
    views = (
        (
            user,
            f"film+{rng.randrange(30) * 2 + (user % 2 if rng.random() < 0.9 else 1 - user % 2):02}",
        )
        for user in range(N_USERS)
        for _ in range(9)
    )
    (tmp_path / "views.tsv").write_text("".join(f"{user}\t{film}\n" for user, film in views))
    films = [{"id": name, "title": name} for name in (*FILMS, *NEW_FILMS)]
    (tmp_path / "films").write_text("".join(json.dumps(film) + "\n" for film in films))

    def refresh(*arguments, status=0):
        files = ["--events", "views.tsv", "--catalogue", "films", "--store", "store"]
        assert main(["refresh", *files, *arguments]) == status
        current = tmp_path / "store" / "CURRENT"
        return None if status else open_snapshot(tmp_path / "store", int(current.read_text()))

    return refresh


def item_vectors(path, kinds=FILMS | NEW_FILMS, **further):
    vectors = {name: vector_of_kind(kind, seed) for seed, (name, kind) in enumerate(kinds.items())}
    return str(write_vectors(path, vectors, "item_id", **further))


def user_vectors(path, new=NEW_USERS, n_known=N_USERS, **further):
    kinds = {str(user): user % 2 for user in range(n_known)} | new
    vectors = {name: vector_of_kind(kind, seed) for seed, (name, kind) in enumerate(kinds.items())}
    return str(write_vectors(path, vectors, **further))


def names(body):
    return body.decode().split(",")


def listed_for(snapshot, film):
    """Return the group of each user who has a film in the list."""
    return [int(user) % 2 for user, body in snapshot.users if film in names(body)]


def test_new_films_with_a_vector_are_recommended_to_users_of_their_kind(service, tmp_path):
    with service("--item-vectors", item_vectors(tmp_path / "v")) as snapshot:
        assert list(broken_records(snapshot)) == []
        for film, kind in NEW_FILMS.items():
            users = listed_for(snapshot, film)
            assert len(users) > 10
            assert users.count(kind) > 0.8 * len(users)
            assert len(names(snapshot.similar.get(film.encode()))) == 20
        metrics = snapshot.manifest.metrics
        assert metrics["new_items_by_vectors"] == 2
        assert metrics["new_items_explained"] > 0.05


def test_new_films_without_a_vector_are_not(service, tmp_path):
    """Neither without a file, nor next to one that has a vector of another new film alone."""
    with service() as snapshot:
        assert snapshot.manifest.counts["recs.mdb/rows"] == N_FILMS
        assert not any(listed_for(snapshot, film) for film in NEW_FILMS)
    path = item_vectors(tmp_path / "v", FILMS | {"new+a": 0})
    with service("--item-vectors", path) as snapshot:
        assert snapshot.manifest.counts["recs.mdb/rows"] == N_FILMS + 1
        assert listed_for(snapshot, "new+a")
        assert not listed_for(snapshot, "new+b")


def test_new_users_with_a_vector_have_lists_of_their_kind(service, tmp_path):
    """An even user gets even films, an odd one odd films."""
    with service("--user-vectors", user_vectors(tmp_path / "v")) as snapshot:
        assert list(broken_records(snapshot)) == []
        for user, kind in NEW_USERS.items():
            films = names(snapshot.users.get(user.encode()))
            assert len(films) == 20
            assert sum(FILMS[film] == kind for film in films[:10]) >= 9
        metrics = snapshot.manifest.metrics
        assert metrics["user_vectors_weight"] > 0
        assert metrics["user_vectors_ndcg"] > metrics["user_vectors_fallback_ndcg"]
        assert (metrics["user_vectors_known"], metrics["user_vectors_new"]) == (N_USERS, 4)


@pytest.mark.parametrize("model", ["auto", "item_knn"])
def test_other_models_give_new_users_lists_too(service, tmp_path, monkeypatch, model):
    """They come from ALS, which every model has beside it."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", model)
    films, users = (
        item_vectors(tmp_path / "films.parquet"),
        user_vectors(tmp_path / "users.parquet"),
    )
    with service("--item-vectors", films, "--user-vectors", users) as snapshot:
        assert list(broken_records(snapshot)) == []
        for user, kind in NEW_USERS.items():
            films_of_user = names(snapshot.users.get(user.encode()))
            assert sum((FILMS | NEW_FILMS)[film] == kind for film in films_of_user[:10]) >= 8


def test_lists_of_users_with_interactions_do_not_change(service, tmp_path):
    with service() as snapshot:
        before = dict(snapshot.users)
    with service("--user-vectors", user_vectors(tmp_path / "v")) as snapshot:
        after = dict(snapshot.users)
    assert {user: after[user] for user in before} == before
    assert after.keys() - before.keys() == {user.encode() for user in NEW_USERS}


def test_new_users_get_no_list_from_vectors_that_say_nothing(service, tmp_path, capsys):
    """The twin: vectors of random kinds are not used, and the refresh says so."""
    rng = random.Random(1)
    vectors = {
        name: vector_of_kind(rng.randrange(2), seed)
        for seed, name in enumerate([*map(str, range(N_USERS)), *NEW_USERS])
    }
    path = write_vectors(tmp_path / "v", vectors)
    with service("--user-vectors", str(path)) as snapshot:
        assert snapshot.users.get(b"9000") is None
        assert snapshot.manifest.metrics["user_vectors_weight"] == 0
    assert "not significantly better than segment and popular lists" in capsys.readouterr().out


def test_likes_and_a_vector_are_combined(service, tmp_path):
    """The films that a user names are not in the list that the vector gives."""
    people = [{"user_id": user, "likes": "I love film+04."} for user in (9000, 9100)]
    (tmp_path / "people").write_text("".join(json.dumps(person) + "\n" for person in people))
    path = user_vectors(tmp_path / "v")
    with service("--user-vectors", path, "--profiles", "people") as snapshot:
        both, vector, likes = (
            names(snapshot.users.get(user)) for user in (b"9000", b"9002", b"9100")
        )
    assert "film+04" in vector
    assert "film+04" not in both
    assert both != likes
    assert sum(FILMS[film] == 0 for film in both[:10]) >= 9


def test_costs_and_hashes_are_in_the_manifest(service, tmp_path):
    films = item_vectors(tmp_path / "films.parquet", tokens=[10] * 62, usd=[0.0001] * 62)
    users = user_vectors(tmp_path / "users.parquet", tokens=[None] + [3] * 403)
    with service("--item-vectors", films, "--user-vectors", users) as snapshot:
        metrics, parameters = snapshot.manifest.metrics, snapshot.manifest.parameters
        inputs = {entry["name"]: entry for entry in snapshot.manifest.inputs}
    assert (metrics["item_vectors_tokens"], metrics["item_vectors_usd"]) == (620, 0.0062)
    assert metrics["user_vectors_tokens"] == 1209
    assert "user_vectors_usd" not in metrics
    assert (parameters["item_vectors"], parameters["user_vectors"]) == (films, users)
    for path, kind in ((films, "item vectors"), (users, "user vectors")):
        entry = inputs[Path(path).name]
        assert entry["sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()
        assert entry["kind"] == kind


def test_unknown_ids_are_counted_and_reported(service, tmp_path, capsys):
    """An item that no catalogue lists does not exist; an id that is not valid is unusable."""
    kinds = FILMS | NEW_FILMS | {"nowhere+1": 0, "nowhere+2": 1, "two words": 0}
    with service("--item-vectors", item_vectors(tmp_path / "v", kinds)) as snapshot:
        metrics = snapshot.manifest.metrics
        assert [metrics[f"item_vectors_{kind}"] for kind in ("known", "new", "unknown")] == [
            60,
            2,
            2,
        ]
        assert snapshot.items.get(b"nowhere+1") is None
    summary = capsys.readouterr().out
    assert "2 of 64 ids have no interactions and are in no catalogue; they are not used" in summary
    assert f"unusable      1 {tmp_path / 'v'}" in summary


@pytest.mark.parametrize(
    ("option", "write", "warning"),
    [
        ("--item-vectors", lambda path: item_vectors(path, NEW_FILMS), "no id has interactions"),
        ("--user-vectors", lambda path: user_vectors(path, n_known=0), "no id has interactions"),
        ("--user-vectors", lambda path: user_vectors(path, n_known=20), "too few users have"),
    ],
)
def test_vectors_without_enough_to_learn_from_are_reported(
    service, tmp_path, capsys, option, write, warning
):
    with service(option, write(tmp_path / "v")) as snapshot:
        assert snapshot.manifest.counts["recs.mdb/users"] == N_USERS
        assert snapshot.manifest.counts["recs.mdb/rows"] == N_FILMS
    assert warning in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--item-vectors", "--user-vectors"])
def test_bad_file_stops_the_refresh_and_leaves_the_store(service, tmp_path, capsys, option):
    path = tmp_path / "v"
    write_vectors(path, {"a": [1.0], "b": [float("nan")]})
    service(option, str(path), status=1)
    assert f"{path}: row 1 has a number that is not finite; " in capsys.readouterr().err
    assert not (tmp_path / "store" / "CURRENT").exists()


def test_item_vectors_contradict_new_items_none(service, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MARQUEE_BATCH_NEW_ITEMS", "none")
    service("--item-vectors", item_vectors(tmp_path / "v"), status=1)
    assert 'not used while new_items = "none"' in capsys.readouterr().err


def test_setting_is_overridden_by_the_option(service, tmp_path, monkeypatch):
    monkeypatch.setenv("MARQUEE_BATCH_ITEM_VECTORS", str(tmp_path / "missing"))
    service(status=1)
    with service("--item-vectors", item_vectors(tmp_path / "v")) as snapshot:
        assert snapshot.manifest.metrics["item_vectors_known"] == N_FILMS


def test_order_of_rows_and_threads_change_no_byte(service, tmp_path, monkeypatch):
    found = []
    for n_threads, step in (("1", 1), ("2", -1)):
        monkeypatch.setenv("MARQUEE_BATCH_N_THREADS", n_threads)
        films = dict(list(zip(FILMS | NEW_FILMS, range(62), strict=True))[::step])
        users = dict([*((str(n), n) for n in range(N_USERS)), ("9000", 9000)][::step])
        made = (
            {
                name: vector_of_kind((FILMS | NEW_FILMS).get(name, 0), n, 200)
                for name, n in films.items()
            },
            {name: vector_of_kind(n % 2, n, 200) for name, n in users.items()},
        )
        paths = (str(write_vectors(tmp_path / f"{n}", rows)) for n, rows in enumerate(made))
        arguments = zip(("--item-vectors", "--user-vectors"), paths, strict=True)
        with service(*(word for pair in arguments for word in pair)) as snapshot:
            folder = snapshot.folder
        files = ("recs.mdb", "factors.mdb", "items.ann")
        found.append([(folder / name).read_bytes() for name in files])
    assert found[0] == found[1]
