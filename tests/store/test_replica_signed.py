"""Signed replicas: keys, what is signed, what goes back in time, and what must not."""

import contextlib
import itertools
import shutil
import subprocess

import pytest

from store.config import StoreSettings
from store.errors import ConfigError, ReplicaError, WriteError
from store.journal import journal
from store.layout import generations, snapshot_folder
from store.pointer import current
from store.publish import pin, rollback, unpin
from store.pull import watch
from store.remote import Remote
from store.signing import SigningKey, load_trusted_keys, make_key
from store.takedown import restore, take_down, takedown_file, takedowns
from tests.snapshots import files_of, make_snapshot
from tests.store.replicas import assert_current_is_complete, pull_from, push_to, snapshot_files
from tests.store.test_replica_interrupted import PowerCut, cut_at


@pytest.fixture
def key(tmp_path):
    """A private key."""
    make_key(tmp_path / "push.key")
    return SigningKey(tmp_path / "push.key")


@pytest.fixture
def other_key(tmp_path):
    """A private key that no node trusts."""
    make_key(tmp_path / "other.key")
    return SigningKey(tmp_path / "other.key")


@pytest.fixture
def trusting(key):
    """The settings of a node that trusts `key`."""
    return StoreSettings(keep=100, trusted_keys=(key.public,))


# Honest remotes


def test_a_signed_snapshot_arrives(two, there, node, key, trusting):
    """The signatures lie beside the files; a second push and pull change nothing."""
    push_to(there, two, key=key)
    names = {path.name for path in there.rglob("*.sig")}
    assert names == {"CURRENT.sig", "SHA256SUMS.sig", "TAKEDOWN.sig"}
    assert pull_from(there, node, trusting).is_current
    assert snapshot_files(node, 2) == snapshot_files(two, 2)
    before = files_of(there), files_of(node)
    assert push_to(there, two, key=key).n_bytes == 0
    assert not pull_from(there, node, trusting).has_changed
    assert (files_of(there), files_of(node)) == before


def test_a_report_that_is_not_signed_is_left_out(two, there, node, key, trusting, caplog):
    """A remote cannot add a page of its own; the snapshot and what is signed arrive."""
    (snapshot_folder(two, 2) / "MODEL_CARD.md").write_text("a card")
    push_to(there, two, key=key)
    (snapshot_folder(there, 2) / "report.html").write_text("<script>forged()</script>")
    assert pull_from(there, node, trusting).is_current
    assert (snapshot_folder(node, 2) / "MODEL_CARD.md").read_text() == "a card"
    assert not (snapshot_folder(node, 2) / "report.html").exists()
    assert "report.html: is not signed" in caplog.text
    forged = snapshot_folder(there, 2) / "report.sha256"
    forged.write_text(f"{'0' * 64}  MODEL_CARD.md\n")
    assert pull_from(there, node, trusting).is_current
    assert "report.sha256: its signature is over another file or content" in caplog.text
    assert (snapshot_folder(node, 2) / "MODEL_CARD.md").read_text() == "a card"


def test_a_report_that_cannot_be_fetched_is_warned_of_once(
    two, there, node, key, trusting, caplog, monkeypatch
):
    """However often it is polled; that of the next generation gets a line of its own."""
    n_polls, poll_seconds = 0, 0.05

    def next_poll(seconds):
        nonlocal n_polls
        n_polls += seconds == poll_seconds  # else a file is read again
        if n_polls == 3 and current(two) == 2:
            make_snapshot(two, {"ann": ["a"]}, ["b"])
            publish_with_forged_report(3)
        if n_polls == 6:
            raise KeyboardInterrupt

    def publish_with_forged_report(generation):
        push_to(there, two, key=key)
        (snapshot_folder(there, generation) / "report.sha256").write_text("forged")

    publish_with_forged_report(2)
    monkeypatch.setattr("store.pull.time.sleep", next_poll)
    with pytest.raises(KeyboardInterrupt):
        watch(node, Remote(str(there)), trusting, poll_seconds)
    lines = [one.getMessage() for one in caplog.records if "the report of" in one.getMessage()]
    assert [line.partition(":")[0] for line in lines] == [
        "cannot fetch the report of generation 2", "cannot fetch the report of generation 3",
    ]  # fmt: skip
    assert current(node) == 3


def test_a_node_without_keys_pulls_what_is_signed(two, there, node, key):
    """Signatures are ignored there."""
    push_to(there, two, key=key)
    assert pull_from(there, node).is_current


def test_a_remote_is_signed_later(two, there, node, key, trusting):
    """A push with a key signs what was pushed without one, and sends no data file."""
    push_to(there, two)
    with pytest.raises(ReplicaError, match="CURRENT: is not signed"):
        pull_from(there, node, trusting)
    assert not node.exists()
    assert push_to(there, two, key=key).n_bytes == 0
    assert pull_from(there, node, trusting).is_current


def test_a_signed_rollback_and_restore_are_followed(two, there, node, key, trusting):
    """They need no option: their serial numbers are newer."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two, 1, key)
    pull_from(there, node, trusting)
    push_to(there, two, key=key)
    pull_from(there, node, trusting)
    rollback(two, "lists of 2 look wrong")
    restore(two, ["c"], "bought again")
    push_to(there, two, key=key)
    pull_from(there, node, trusting)
    assert (current(node), takedowns(node)) == (1, {})
    assert journal(node)[-1].what == "rollback"


def test_a_removed_list_of_takedowns_is_signed(two, there, node, key, trusting):
    """Its signature is over a missing file."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two, key=key)
    pull_from(there, node, trusting)
    takedown_file(two).unlink()
    push_to(there, two, key=key)
    pull_from(there, node, trusting)
    assert not takedown_file(node).exists()


def test_a_node_that_was_pinned_follows_a_signed_rollback(two, there, node, key, trusting):
    """`unpin` makes the newest snapshot current, and the next pull the one of the remote."""
    for generation in (1, 2):
        push_to(there, two, generation, key)
        pull_from(there, node, trusting)
    pin(node, "a film festival", 2)
    push_to(there, two, 1, key)
    assert not pull_from(there, node, trusting).is_current
    assert unpin(node, "it is over") == 2
    assert pull_from(there, node, trusting).is_current
    assert current(node) == 1


def test_a_key_is_replaced(two, there, node, key, other_key):
    """Nodes trust both keys, then the push uses the new one, then the old one is removed."""
    push_to(there, two, 1, key)
    both = StoreSettings(trusted_keys=(key.public, other_key.public))
    pull_from(there, node, both)
    push_to(there, two, key=other_key)
    assert pull_from(there, node, both).is_current
    assert not pull_from(there, node, StoreSettings(trusted_keys=(other_key.public,))).has_changed


@pytest.mark.parametrize("name", ["CURRENT", "CURRENT.sig", "TAKEDOWN", "TAKEDOWN.sig"])
def test_a_file_that_grew_at_the_remote_is_pushed_again(two, there, node, key, trusting, name):
    """A push replaces it; a pull refuses it."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two, key=key)
    with (there / name).open("r+b") as file:
        file.truncate(1 << 25)
    with pytest.raises(ReplicaError, match=f"{name}: is larger than the .*; run `push` to it ag"):
        pull_from(there, node, trusting)
    push_to(there, two, key=key)
    assert pull_from(there, node, trusting).is_current


def test_a_power_cut_at_every_step_of_a_signed_push(two, there, node, key, trusting):
    """A node refuses, or has generation 1 or 2; after the next push it has 2."""
    push_to(there, two, 1, key)
    pull_from(there, node, trusting)
    before = shutil.copytree(there, there.with_name("before"))
    for step in itertools.count(1):
        shutil.rmtree(there)
        shutil.copytree(before, there)
        own = shutil.copytree(node, node.with_name(f"node{step}"))
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(PowerCut):
            cut_at(patch, step)
            push_to(there, two, key=key)
            break
        with contextlib.suppress(ReplicaError):
            pull_from(there, own, trusting)
        assert_current_is_complete(own)
        push_to(there, two, key=key)
        assert pull_from(there, own, trusting).generation == 2
        assert current(own) == 2
    assert step >= 12


# Hostile remotes, through a directory


def exchange_signatures(there):
    shutil.copy(there / "TAKEDOWN.sig", there / "CURRENT.sig")


def take_the_signature_of_another_generation(there):
    folder = there / "snapshots"
    shutil.copy(folder / "000001" / "SHA256SUMS.sig", folder / "000002" / "SHA256SUMS.sig")


def exchange_a_signed_snapshot(there):
    shutil.rmtree(there / "snapshots" / "000002")
    shutil.copytree(there / "snapshots" / "000001", there / "snapshots" / "000002")


def add_a_takedown(there):
    takedown_file(there).write_text("b\tsince\twhy\n")


def remove_takedowns(there):
    takedown_file(there).unlink()


def remove_takedowns_and_their_signature(there):
    takedown_file(there).unlink()
    (there / "TAKEDOWN.sig").unlink()


def change_the_pointer(there):
    (there / "CURRENT").write_text("1\n")


def change_a_serial_number(there):
    path = there / "CURRENT.sig"
    path.write_text(path.read_text().replace("\nserial 1", "\nserial 2"))


def write_a_page(there):
    (there / "CURRENT.sig").write_text("<html>MARK</html>")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (exchange_signatures, "CURRENT: its signature is over another file or content"),
        (take_the_signature_of_another_generation, "SHA256SUMS: its signature is over another"),
        (exchange_a_signed_snapshot, "SHA256SUMS: its signature is over another file"),
        (add_a_takedown, "TAKEDOWN: its signature is over another file or content"),
        (remove_takedowns, "TAKEDOWN: its signature is over another file or content"),
        (remove_takedowns_and_their_signature, "TAKEDOWN: is not signed"),
        (change_the_pointer, "CURRENT: its signature is over another file or content"),
        (change_a_serial_number, "CURRENT: its signature is not valid"),
        (write_a_page, "CURRENT: its signature file cannot be read"),
    ],
)
def test_a_wrong_signature_is_refused(two, there, node, key, trusting, attack, message):
    """One line without content of the remote; the node is as it was, and goes on afterwards."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two, 1, key)
    pull_from(there, node, trusting)
    push_to(there, two, key=key)
    sound = shutil.copytree(there, there.with_name("sound"))
    before = files_of(node)
    attack(there)
    with pytest.raises(ReplicaError, match=message) as caught:
        pull_from(there, node, trusting)
    assert "\n" not in str(caught.value)
    assert "MARK" not in str(caught.value)
    assert files_of(node) == before
    shutil.rmtree(there)
    sound.rename(there)
    assert pull_from(there, node, trusting).is_current


def test_a_key_that_is_not_trusted_is_refused(two, there, node, other_key, trusting):
    """The store is not created."""
    push_to(there, two, key=other_key)
    with pytest.raises(ReplicaError, match="CURRENT: is signed with a key that is not trusted"):
        pull_from(there, node, trusting)
    assert not node.exists()


@pytest.mark.parametrize("replayed", ["CURRENT", "TAKEDOWN", ""])
def test_a_replay_needs_the_option(two, there, node, key, trusting, replayed):
    """An older pointer, older takedowns, or the whole remote as it was before."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two, 1, key)
    pull_from(there, node, trusting)
    older = shutil.copytree(there, there.with_name("older"))
    take_down(two, ["d"], "rights ended")
    push_to(there, two, key=key)
    pull_from(there, node, trusting)
    before = files_of(node)
    for path in older.glob(f"{replayed}*" if replayed else "[CT]*"):
        shutil.copy(path, there)
    with pytest.raises(ReplicaError, match=r"serial number \d+ is lower than \d+.*--allow-roll"):
        pull_from(there, node, trusting)
    assert files_of(node) == before
    pull_from(there, node, trusting, allow_rollback=True)
    assert (current(node) == 1) == (replayed != "TAKEDOWN")
    assert ("d" in takedowns(node)) == (replayed == "CURRENT")


def test_the_first_signed_pull_does_not_go_back(two, there, node, key, trusting):
    """Without a serial number accepted before, an older generation may be a replay."""
    push_to(there, two)
    pull_from(there, node)
    push_to(there, two, 1, key)
    with pytest.raises(ReplicaError, match="names generation 1, older than 2"):
        pull_from(there, node, trusting)
    assert current(node) == 2
    pull_from(there, node, trusting, allow_rollback=True)
    assert (current(node), generations(node)) == (1, [1, 2])


@pytest.mark.parametrize("text", ["", "CURRENT\t12", "CURRENT\t" + "9" * 5000 + "\n", "\xff\n"])
def test_a_damaged_file_of_serial_numbers_is_refused(two, there, node, key, trusting, text):
    """An empty one is as good as none."""
    push_to(there, two, key=key)
    pull_from(there, node, trusting)
    (node / "REPLICA").write_text(text, encoding="latin-1")
    if text:
        with pytest.raises(ReplicaError, match="REPLICA: does not hold serial numbers"):
            pull_from(there, node, trusting)
    else:
        assert pull_from(there, node, trusting).is_current


# Keys


def test_keygen_makes_a_private_file_and_prints_the_public_key(tmp_path, python):
    """An existing file is not replaced."""
    file = tmp_path / "push.key"
    done = python("-m", "store", "keygen", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.stat().st_mode & 0o777 == 0o600
    public = load_trusted_keys([str(tmp_path / "push.key.pub")])
    assert public == {SigningKey(file).public}
    assert done.stdout.endswith(f"push.key.pub, {SigningKey(file).public}\n")
    before = files_of(tmp_path)
    with pytest.raises(WriteError, match="File exists"):
        make_key(file)
    assert files_of(tmp_path) == before


def test_a_key_of_openssl_is_accepted(tmp_path, two, there, node):
    """As PEM, for both sides."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", private]
    subprocess.run(make, check=True, capture_output=True)
    private.chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    push_to(there, two, key=SigningKey(private))
    assert pull_from(there, node, StoreSettings(trusted_keys=(str(public),))).is_current


def test_a_private_key_that_others_can_read_is_refused(tmp_path):
    """The message has the command that helps."""
    make_key(tmp_path / "push.key")
    (tmp_path / "push.key").chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by other users; run `chmod 600 "):
        SigningKey(tmp_path / "push.key")


@pytest.mark.parametrize("content", [None, "", "a text", "RSA"])
def test_a_file_that_is_not_a_key_is_refused(tmp_path, content):
    """A missing file, a text, a key of another kind."""
    path = tmp_path / "a.key"
    if content == "RSA":
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", path], check=True)
    elif content is not None:
        path.write_text(content)
    if content is not None:
        path.chmod(0o600)
    for load in (SigningKey, lambda path: load_trusted_keys([str(path)])):
        with pytest.raises(ConfigError, match=str(path)):
            load(path)


def test_a_wrong_trusted_key_ends_watch_before_it_begins(two, there, python):
    """Status 1 and one line."""
    done = python(
        "-m", "store", "--store", two, "pull", there, "--watch=1",
        environ={"MARQUEE_STORE_TRUSTED_KEYS": '["missing.pub"]'},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "missing.pub: cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://ann:secret@host:80/m", "http://host:80/m"),
        ("https://host/m?X-Amz-Signature=secret&token=secret#secret", "https://host/m"),
        ("s3://key:secret@bucket/m", "s3://bucket/m"),
        ("https://ann:sec@ret@host/m", "https://host/m"),
        ("/mnt/a?b#c@d", "/mnt/a?b#c@d"),
    ],
)
def test_a_url_is_shown_without_credentials(url, shown):
    """User, password, query and fragment; a path is shown whole."""
    assert Remote(url).url == shown


@pytest.mark.parametrize(
    "url", ["http://ann:sec/ret@host/m", "http://[host", "simplecache::http://ann:secret@host/m"]
)
def test_a_url_that_is_not_valid_is_not_shown(url):
    """Its parts cannot be told apart."""
    with pytest.raises(ReplicaError, match="URL: is not valid") as caught:
        Remote(url)
    assert "sec" not in str(caught.value)
