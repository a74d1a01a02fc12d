"""Answers to each kind of request, byte by byte."""

import pytest

from tests.serve.conftest import LISTS, POPULAR
from tests.serve.server import ask

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "session=1",
    "Upgrade-Insecure-Requests": "1",
}
JAVA = {"User-Agent": "Java-http-client/17.0.5", "Accept": "application/json"}
REQUESTS = {"User-Agent": "python-requests/2.32.3", "Accept": "*/*", "Accept-Encoding": "gzip"}
CLIENTS = pytest.mark.parametrize("headers", [BROWSER, JAVA, REQUESTS], ids=lambda h: h["Accept"])


def body(item_ids):
    return ",".join(item_ids).encode()


@pytest.mark.parametrize("user_id", LISTS, ids=lambda user_id: user_id[:3])
def test_a_known_user_gets_the_list(connection, user_id):
    """The body is exactly the user's item ids joined by commas."""
    answer = ask(connection, f"/recommend/{user_id}")

    assert (answer.status, answer.body) == (200, body(LISTS[user_id]))


def test_a_list_is_plain_text_with_its_length(connection):
    """Content-Length counts the body's bytes."""
    answer = ask(connection, "/recommend/ann")

    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(body(LISTS["ann"])))


def test_a_list_names_its_source_and_generation(connection):
    """The headers name the user's own list and generation 1."""
    answer = ask(connection, "/recommend/ann")

    assert (answer.source, answer.generation) == ("list", 1)


def test_an_unknown_user_gets_the_popular_list(connection):
    """With status 200 and the source in the headers."""
    answer = ask(connection, "/recommend/zoe")

    assert (answer.status, answer.body) == (200, body(POPULAR))
    assert (answer.source, answer.generation) == ("popular", 1)
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_the_popular_list_is_plain_text(connection):
    """A fallback has the same type as a user's own list."""
    assert ask(connection, "/recommend/zoe").headers["Content-Type"] == "text/plain; charset=utf-8"


def test_one_connection_carries_many_requests(connection):
    """Known, unknown and malformed ids alternate on one connection that is never closed."""
    ask(connection, "/recommend/ann")
    opened = connection.sock

    for _ in range(200):
        assert ask(connection, "/recommend/ann").body == body(LISTS["ann"])
        assert ask(connection, "/recommend/zoe").body == body(POPULAR)
        assert ask(connection, "/recommend/").status == 400
        assert connection.sock is opened


def test_an_http_1_0_client_is_answered_and_disconnected(answering):
    """The connection ends after the list."""
    received = answering.exchange(b"GET /recommend/ann HTTP/1.0\r\n\r\n")

    assert received.partition(b"\r\n\r\n")[2] == body(LISTS["ann"])


@CLIENTS
@pytest.mark.parametrize("user_id", ["ann", "zoe"])
def test_headers_of_real_clients_change_nothing(connection, headers, user_id):
    """For any `Accept` header the answer is the plain list, uncompressed."""
    plain = ask(connection, f"/recommend/{user_id}")
    answer = ask(connection, f"/recommend/{user_id}", headers=headers)

    assert (answer.status, answer.body) == (200, plain.body)
    assert sorted(answer.headers.items()) == sorted(plain.headers.items())


@pytest.mark.parametrize("query", ["?", "?x=1", "?format=text&x=%ff", "?%00"])
@pytest.mark.parametrize("user_id", ["ann", "zoe"])
def test_an_unknown_query_changes_nothing(connection, user_id, query):
    """Body and source stay."""
    plain = ask(connection, f"/recommend/{user_id}")
    answer = ask(connection, f"/recommend/{user_id}{query}")

    assert (answer.status, answer.body, answer.source) == (200, plain.body, plain.source)


def test_an_id_may_be_percent_encoded(connection):
    """`%61nn` is `ann`."""
    assert ask(connection, "/recommend/%61nn").body == body(LISTS["ann"])


@pytest.mark.parametrize(
    "encoded",
    [
        "", "%20", "%20ann", "ann%20", "%ff", "ann%ff", "%0d%0a", "ann%0d%0aX:%201", "ann%0a",
        "%00", "ann%00", "a,b", "a%2Cb", "/", "ann/", "ann%2F", "a/b", "%7F", "%C3%A9", "%2561nn",
        "8" * 65, "a" * 600, "a%3Fb", "a%23b", "a%25b", "a%22b", "a%3Db", "a%7Cb",
    ],
)  # fmt: skip
def test_a_malformed_id_is_rejected(connection, encoded):
    """It gets 400, and the rule for ids as one line of plain text."""
    answer = ask(connection, f"/recommend/{encoded}")

    assert answer.status == 400
    assert answer.text.startswith("malformed user id: a user id is 1 to 64 visible ASCII")
    assert answer.text.endswith("\n")
    assert answer.text.count("\n") == 1
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_raw_bytes_in_an_id_are_rejected(answering):
    """Unencoded bytes above 127 also get 400."""
    received = answering.exchange(b"GET /recommend/ann\xe9 HTTP/1.0\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("target", ["/recommend", "/recommendations/ann", "/healthz/x", "/x"])
def test_another_path_is_not_found(connection, target):
    """It gets 404."""
    assert ask(connection, target).status == 404


@pytest.mark.parametrize("target", ["/recommend/ann", "/recommend/zoe", "/healthz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_another_method_is_not_allowed(connection, method, target):
    """A read-only path answers 405, and `Allow` names its methods."""
    sent = None if method == "TRACE" else b"x=1"
    answer = ask(connection, target, method=method, body=sent)

    assert answer.status == 405
    assert {"GET", "HEAD"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("target", ["/recommend/ann", "/recommend/zoe", "/healthz"])
def test_head_has_the_headers_of_get(connection, target):
    """Status, length and source are those of GET."""
    whole = ask(connection, target)
    head = ask(connection, target, method="HEAD")

    assert head.status == 200
    assert sorted((name.lower(), text) for name, text in head.headers.items()) == sorted(
        (name.lower(), text) for name, text in whole.headers.items()
    )


@pytest.mark.parametrize("user_id", ["ann", "zoe"])
def test_head_has_no_body(answering, user_id):
    """Nothing follows the blank line after the headers."""
    received = answering.exchange(f"HEAD /recommend/{user_id} HTTP/1.0\r\n\r\n".encode())

    assert received.endswith(b"\r\n\r\n")


def test_head_of_a_malformed_id_is_refused(connection):
    """HEAD validates as GET does."""
    assert ask(connection, "/recommend/a,b", method="HEAD").status == 400
