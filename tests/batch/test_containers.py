"""Archives and compression: each member by itself, damage as one message, bombs refused."""

import gzip
import io
import re
import shutil
import struct
import tarfile
import tempfile
import zipfile

import pytest

from batch.errors import InputError, UnreadKindError
from batch.events.ingest import ingest
from batch.files import archives
from batch.files.archives import input_files
from batch.files.open import open_input
from batch.records.catalogue import read_catalogues
from tests.batch.event_files import EventFolder, event_settings, parquet, ratings, views, watch
from tests.batch.packing import ARCHIVES, CODECS, PACKINGS, tarred, zipped

RATINGS = b"userId,movieId,rating,timestamp\n1,10,4,1600000000\n2,11,5,1600000001\n"
MOVIES = b"movieId,title,genres\n10,Heat (1995),Crime\n11,Ran (1985),Drama|War\n"
MOVIELENS = {
    "ml/README.txt": b"MovieID::Title::Genres\nUserID::MovieID::Rating::Timestamp\n",
    "ml/movies.csv": MOVIES,
    "ml/links.csv": b"movieId,imdbId,tmdbId\n10,0113277,949\n11,0089881,11645\n",
    "ml/ratings.csv": RATINGS,
    "ml/tags.csv": b"userId,movieId,tag,timestamp\n1,10,60,1445714994\n2,11,funny,1445714996\n",
    "ml/.DS_Store": b"\0\0\0\1Bud1",
    "__MACOSX/ml/._ratings.csv": b"\0\5\x16\7",
    "ml/empty.csv": b"",
}
MANY = "".join(f"{n % 997},m{n * 7919 % 9973},{n % 5 + 1}\n" for n in range(20_000)).encode()


@pytest.fixture
def write(tmp_path):
    def write(content, name="input"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def read(tmp_path):
    return EventFolder(tmp_path).read


@pytest.mark.parametrize("pack", ARCHIVES.values(), ids=ARCHIVES)
def test_events_of_an_archive_are_read_and_the_rest_is_named(read, pack):
    """The ratings are read; the other tables are named, hidden and empty members are not."""
    events = read(pack(MOVIELENS))
    assert ratings(events) == [("1", "10", 4.0, 1600000000), ("2", "11", 5.0, 1600000001)]
    (source,) = events.sources
    assert (source.path.name, source.member) == ("0-file", "ml/ratings.csv")
    whys = {name.partition("0-file/")[2]: why for name, why in events.not_read.items()}
    assert whys["ml/README.txt"] == "is documentation, by its name"
    assert "has no column of users" in whys["ml/movies.csv"]
    assert "has no column of users" in whys["ml/links.csv"]
    assert whys["ml/tags.csv"] == "has no ratings, minutes or counts, unlike other members"
    assert len(whys) == 4


@pytest.mark.parametrize("pack", ARCHIVES.values(), ids=ARCHIVES)
def test_catalogue_of_an_archive_is_read(write, pack):
    """The same archive as a catalogue gives its films, and names the ratings."""
    catalogue = read_catalogues([write(pack(MOVIELENS))])
    assert {name: item.title for name, item in catalogue.items.items()} == {
        "10": "Heat",
        "11": "Ran",
    }
    assert catalogue.sources[0].member == "ml/movies.csv"
    names = [name.rpartition("/")[2] for name in catalogue.not_read]
    assert names == ["README.txt", "ratings.csv", "tags.csv"]


def test_members_of_many_kinds_are_each_told_apart(read):
    """A log, ratings, packed pairs and Parquet in one archive."""
    log = watch(1, "a", 3).encode()
    members = {
        "stream.log": log,
        "ratings.csv": RATINGS,
        "counts.tsv.gz": gzip.compress(b"user\titem\tplays\n5\tx\t3\n"),
        "part-0.parquet": parquet(user_id=["7"], item_id=["y"], minutes=[3]),
    }
    for pack in ARCHIVES.values():
        events = read(pack(members))
        assert [source.kind for source in events.sources] == [
            "stream log", "comma-separated table", "tab-separated table", "Parquet",
        ]  # fmt: skip
        assert [view[:2] for view in views(events)] == [("1", "a"), ("5", "x"), ("7", "y")]
        assert len(ratings(events)) == 2


def test_pairs_alone_are_read_and_beside_ratings_left_out(read):
    """A list of genres looks like pairs of users and items; pairs of their own are events."""
    pairs = {"u.genre": b"unknown|0\nAction|1\nWar|2\n"}
    assert len(views(read(zipped(pairs)))) == 3
    events = read(zipped(pairs | {"u.data": b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n"}))
    assert (len(views(events)), len(ratings(events))) == (0, 2)
    assert [name.rpartition("/")[2] for name in events.not_read] == ["u.genre"]


def test_movielens_1m_has_events_in_one_member(read):
    """Its users, whose ids look like row numbers, are not events; neither are its films."""
    members = {
        "ml-1m/movies.dat": b"1::Heat (1995)::Crime\n2::Ran (1985)::War\n",
        "ml-1m/ratings.dat": b"1::2::5::978300760\n1::1::3::978302109\n2::1::3::978301968\n",
        "ml-1m/users.dat": b"1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::15::55117\n",
    }
    events = read(zipped(members))
    assert [source.member for source in events.sources] == ["ml-1m/ratings.dat"]
    assert len(ratings(events)) == 3


def test_archives_are_read_from_a_directory(tmp_path):
    """An archive below a directory of events is opened like one that is named."""
    folder = tmp_path / "days"
    folder.mkdir()
    (folder / "a.zip").write_bytes(zipped({"x.csv": RATINGS}))
    (folder / "b.log").write_bytes(watch(3, "c", 1).encode())
    settings = event_settings(folder, quarantine=tmp_path / "q")
    result = archives.open_readable(folder / "a.zip", str)
    assert result == ([f"{folder / 'a.zip'}/x.csv"], {})
    assert settings.events == (str(folder),)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archive_without_events_is_refused_with_its_members(read, pack):
    """Nothing of it is events: the message names the members and what they are."""
    members = {"movies.csv": MOVIES, "LICENSE": b"all rights\n", "notes.pdf": b"%PDF-1.7\n"}
    with pytest.raises(UnreadKindError, match="has no member that can be read here") as error:
        read(pack(members))
    for part in ("movies.csv has no column of users", "documentation", "notes.pdf is a PDF"):
        assert part in str(error.value)


@pytest.mark.parametrize("pack", ARCHIVES.values(), ids=ARCHIVES)
def test_archive_without_files_is_refused(read, pack):
    """Hidden and empty members alone are as good as none."""
    with pytest.raises(InputError, match=r"is an archive without files|is empty"):
        read(pack({"a/.hidden": RATINGS, "empty": b""}))


@pytest.mark.parametrize("outer", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("inner", ["zip", "tar", "tar.gz"])
def test_archive_in_an_archive_is_not_opened(read, outer, inner):
    """It is named as not read beside a sound member, and refused alone."""
    content = ARCHIVES[inner]({"ratings.csv": RATINGS})
    events = read(ARCHIVES[outer]({"inner": content, "ratings.csv": RATINGS}))
    assert len(ratings(events)) == 2
    assert [re.search("is a (?:zip|tar) archive", why) is not None
            for why in events.not_read.values()] == [True]  # fmt: skip
    with pytest.raises(UnreadKindError, match=r"is a (zip|tar) archive; unpack it"):
        read(ARCHIVES[outer]({"inner": content}))


@pytest.mark.parametrize("outer", CODECS)
@pytest.mark.parametrize("inner", CODECS)
def test_file_that_is_packed_twice_is_refused(read, outer, inner):
    """Both codecs are named."""
    with pytest.raises(UnreadKindError, match=f"is {inner} packed by {outer}"):
        read(CODECS[outer](CODECS[inner](RATINGS)))


@pytest.mark.parametrize("name", [name for name in PACKINGS if name != "plain"])
def test_truncated_file_is_one_clear_message(read, name):
    """At many lengths: an error that says so, and never a part of the events."""
    content = PACKINGS[name](MANY)
    content = content.rstrip(b"\0")  # of tar, more than its end needs
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        with pytest.raises(InputError, match=r"is not a whole|not a file of events"):
            read(content[: int(len(content) * share)])


@pytest.mark.parametrize("name", ["gzip", "bz2", "xz", "zip", "zip bzip2", "zip lzma", "tar.gz",
                                  "tar.bz2", "tar.xz", "gzip in zip"])  # fmt: skip
def test_flipped_bytes_are_one_clear_message(read, name):
    """Damage within the packed bytes is found by their checksum."""
    content = bytearray(PACKINGS[name](MANY))
    for position in range(len(content) // 3, len(content) // 2, len(content) // 40):
        damaged = bytearray(content)
        damaged[position] ^= 0x55
        with pytest.raises(InputError, match=r"is not a whole|not a file of events"):
            read(bytes(damaged))


def test_tar_archive_without_its_end_is_refused(read):
    """A cut between two members leaves no trace but the missing end."""
    content = tarred({"a.csv": RATINGS, "b.csv": RATINGS})
    assert len(read(content).sources) == 2
    with pytest.raises(InputError, match="is not a whole tar archive: its end is missing"):
        read(content[:1024])


def test_damaged_member_stops_the_refresh_beside_a_sound_one(read):
    """Only members of other kinds are left out; damage is never hidden."""
    content = zipped({"a.csv": RATINGS, "b.csv": MANY}, zipfile.ZIP_STORED)
    at = content.index(MANY) + 500
    damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    with pytest.raises(InputError, match=r"b.csv: is not a whole member of its archive: Bad CRC"):
        read(damaged)
    assert len(ratings(read(content))) == 20_002


def test_encrypted_member_is_refused_by_name(read):
    """The flag of encryption in the directory of the archive."""
    content = bytearray(zipped({"ratings.csv": RATINGS}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset
        content[at : at + 2] = struct.pack("<H", 1)
    with pytest.raises(InputError, match=r"ratings.csv: is encrypted; unpack it with its password"):
        read(bytes(content))


def test_unknown_method_of_zip_is_refused_by_name(read):
    """Deflate64 of the Windows Explorer, for large files."""
    content = bytearray(zipped({"ratings.csv": RATINGS}))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.index(signature) + offset
        content[at : at + 2] = struct.pack("<H", 9)
    with pytest.raises(InputError, match="is packed by method 9 of zip, which is not read"):
        read(bytes(content))


def test_later_version_of_zip_is_refused(write):
    """An archive that says to need a version to come is an error, not a crash."""
    content = bytearray(zipped({"ratings.csv": RATINGS}))
    content[content.index(b"PK\x01\x02") + 6] = 211
    with pytest.raises(InputError, match=r"is not a zip archive that is read: zip file version 21"):
        input_files(write(bytes(content)))


BOMB = b"1,1,4\n" * 8_000_000
BOMB_PART = b"1,1,4\n" * 200_000


@pytest.mark.parametrize("name", CODECS)
def test_file_that_unpacks_to_far_more_is_refused(write, name):
    """A bomb of valid lines in many streams is refused by its ratio, for each codec."""
    path = write(CODECS[name](BOMB_PART) * 30)
    error = pytest.raises(InputError, match="unpacks to more than 200 times its size")
    with error, open_input(path) as content:
        while content.read(1 << 20):
            pass


@pytest.mark.parametrize("name", ["zip", "zip lzma", "tar.gz", "tar.zst"])
def test_archive_that_unpacks_to_far_more_is_refused(write, name):
    """A member that is implausibly packed is refused before it is read."""
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
        input_files(write(ARCHIVES[name]({"a.csv": BOMB})))


def test_bomb_in_two_layers_is_refused(write):
    """Each layer is plausible alone: what counts is the size of the archive."""
    inner = gzip.compress(b"1,1,4\n" * 20_000_000, 6)
    inner += b"\0" * (len(b"1,1,4\n") * 20_000_000 // 200 - len(inner))  # zeros are padding
    path = write(zipped({"a.csv.gz": inner}))
    assert path.stat().st_size < 500_000
    (file,) = input_files(path)
    error = pytest.raises(InputError, match="unpacks to more than 200 times its size")
    with error, open_input(file) as content:
        while content.read(1 << 20):
            pass


def test_overlapping_members_count_together(write, monkeypatch):
    """Many members of the same packed bytes are refused by their sum."""
    monkeypatch.setattr(archives, "UNCHECKED_BYTES", 0)
    content = b"".join(b"%d,%d,3\n" % (n, n) for n in range(3_000))
    packed = zipped({"a.csv": content})
    assert len(input_files(write(packed))) == 1
    at = packed.index(b"PK\x01\x02")
    entry, end = packed[at : packed.index(b"PK\x05\x06")], packed[packed.index(b"PK\x05\x06") :]
    n = 5_000
    end = end[:8] + struct.pack("<HHII", n, n, n * len(entry), at) + b"\0\0"
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
        input_files(write(packed[:at] + entry * n + end))


def test_too_many_members_are_refused(write, monkeypatch):
    """The list of members is bounded."""
    members = {f"{n}.csv": RATINGS for n in range(5)}
    for pack in ARCHIVES.values():
        monkeypatch.setattr(archives, "_MAX_MEMBERS", 5)
        assert len(input_files(write(pack(members)))) == 5
        monkeypatch.setattr(archives, "_MAX_MEMBERS", 4)
        with pytest.raises(InputError, match="has more than 4 members"):
            input_files(write(pack(members)))


def test_names_of_members_lead_nowhere(write, read):
    """A name that points outside is a name in messages, and nothing is written there."""
    for pack in (zipped, tarred):
        events = read(pack({"../../outside.csv": RATINGS, "a\tb\n.csv": RATINGS}))
        names = [source.member for source in events.sources]
        assert names[-1] == "a\ufffdb\ufffd.csv"


def test_sparse_member_and_links_of_tar(write):
    """A link is not a file of its own."""
    file = io.BytesIO(tarred({"a.csv": RATINGS}))
    with tarfile.open(fileobj=file, mode="a") as archive:
        link = tarfile.TarInfo("b.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert [one.member_name for one in input_files(write(file.getvalue()))] == ["a.csv"]


def test_full_directory_of_temporary_files_is_one_message(write, monkeypatch):
    """A packed tar archive needs room for its unpacked bytes."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(InputError, match=r"does not fit into .*; set TMPDIR"):
        input_files(write(ARCHIVES["tar.gz"]({"a.csv": RATINGS})))


def test_temporary_files_are_gone_afterwards(write, tmp_path, monkeypatch):
    """A packed archive leaves nothing behind, read or refused."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    files = input_files(write(ARCHIVES["tar.gz"]({"a.csv": RATINGS, "b.csv": MANY})))
    with open_input(files[1]) as content:
        assert content.read() == MANY
    assert list(folder.iterdir()) == []


def test_ingest_reads_the_logs_of_an_archive(tmp_path, write):
    """The logs of each day in one archive become partitions; the README is named."""
    logs = {f"{n}.log": watch(n, "m", n).encode() for n in range(1, 4)} | {"README": b"logs\n"}
    path = write(ARCHIVES["tar.gz"](logs), "logs.tar.gz")
    result = ingest(event_settings(path, quarantine=tmp_path / "q"), tmp_path / "events")
    assert (result.n_lines, result.rows["views"]) == (3, 3)
    assert list(result.not_read) == [f"{path}/README"]
