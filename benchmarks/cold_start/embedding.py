"""A simple embedding of texts: TF-IDF of their words, reduced by a singular value decomposition.

It stands for the embeddings that a service brings from outside. It sees texts alone, and no
interaction, so that nothing of a test set is in it.

Source:
    Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 1990.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from batch.arrays import Floats
from batch.cold_start.words import words_in
from batch.records.catalogue import Item
from batch.records.profiles import Profile, segments
from batch.records.read import RecordFile
from batch.records.vectors import OutsideVectors, Owner

_LENGTH: Final = 128  # numbers of a vector
_MIN_TEXTS: Final = 2  # with a word


def outside_vectors(owner: Owner, ids: Sequence[str], vectors: Floats) -> OutsideVectors:
    """Return vectors as if they had been read from a file."""
    source = RecordFile(Path("embedding"), f"{owner} vectors", len(ids), 0)
    return OutsideVectors(pa.array(ids, pa.string()), vectors, {}, source)


def item_text(item: Item) -> str:
    """Return title, decade, genres and overview of an item as one text."""
    decade = f"decade{item.year // 10}" if item.year else ""
    genres = (f"genre{genre.replace(' ', '').replace('-', '')}" for genre in item.genres)
    return " ".join((item.title or "", decade, *genres, item.overview or ""))


def profile_text(profile: Profile) -> str:
    """Return age, gender, occupation, likes and dislikes of a user as one text."""
    about = (name.replace("/", "x").replace("-", "x") for name in segments(profile))
    likes = (f"like{word.text}" for word in words_in(profile.likes or ""))
    dislikes = (f"dislike{word.text}" for word in words_in(profile.dislikes or ""))
    return " ".join((*about, *likes, *dislikes))


def embed(texts: Sequence[str], seed: int) -> Floats:
    """Return (n_texts, length) vectors of texts; length is at most 128."""
    counts = [Counter(word.text for word in words_in(text) if word.text) for text in texts]
    n_texts_by_word = Counter(word for row in counts for word in row)
    words = sorted(word for word, n in n_texts_by_word.items() if n >= _MIN_TEXTS)
    column = {word: number for number, word in enumerate(words)}
    idf = {word: float(np.log(len(texts) / n_texts_by_word[word])) for word in words}
    rows = [_weights(row, idf) for row in counts]
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    indices = np.fromiter((column[word] for row in rows for word in row), np.int64, int(indptr[-1]))
    values = np.fromiter((v for row in rows for v in row.values()), np.float64, int(indptr[-1]))
    matrix = sp.csr_matrix((values, indices, indptr), shape=(len(rows), len(words)))
    left, singular, _ = svds(matrix, k=min(_LENGTH, min(matrix.shape) - 1), rng=seed)
    return np.asarray(left * singular, np.float32)


def _weights(counts: Mapping[str, int], idf: Mapping[str, float]) -> dict[str, float]:
    """Return the TF-IDF of a text's words, of length 1."""
    weights = {w: (1 + np.log(n)) * idf[w] for w, n in counts.items() if w in idf}
    length = float(np.sqrt(sum(weight**2 for weight in weights.values()))) or 1.0
    return {word: weight / length for word, weight in weights.items()}
