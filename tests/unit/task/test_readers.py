"""Readers of MNIST, Fashion-MNIST and CIFAR-10, and downloads."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from laxity.core.errors import DataError, ToolError
from laxity.task import cifar
from laxity.task.download import check_digest, download
from laxity.task.idx import FASHION_MNIST, MNIST, IdxSet, parse_idx, read_idx, read_idx_set


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file, written from the description of the format."""
    sizes = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@settings(max_examples=30, deadline=None)
@given(array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, max_side=6)))
def test_idx_reads_what_its_description_writes(array: np.ndarray) -> None:
    read = parse_idx(idx_bytes(array), "toy")
    assert read.shape == array.shape
    assert np.array_equal(read, array)
    assert read.flags.writeable


@settings(max_examples=60, deadline=None)
@given(raw=st.builds(lambda head, rest: head + rest, st.sampled_from([b"", b"\0\0\x08"]), st.binary(max_size=40)))
def test_idx_accepts_only_what_writing_gives_back(raw: bytes) -> None:
    try:
        read = parse_idx(raw, "noise")
    except DataError:
        return
    assert idx_bytes(read) == raw


def test_damaged_idx_files_are_named(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    raw = idx_bytes(array)
    for cut, message in (
        (raw[:2], "begin"),
        (raw[:6], "header"),
        (raw[:-1], "announces 24"),
        (raw + b"x", "announces"),
    ):
        with pytest.raises(DataError, match=message):
            parse_idx(cut, "toy")
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(raw))
    assert np.array_equal(read_idx(path, hashlib.md5(raw).hexdigest()), array)
    with pytest.raises(DataError, match=r"a\.gz has md5 [0-9a-f]{32}, expected 00"):
        read_idx(path, "00")
    path.write_bytes(gzip.compress(raw)[:-6])
    with pytest.raises(DataError, match=r"cannot read .*a\.gz"):
        read_idx(path)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match=r"cannot read .*a\.gz"):
        read_idx(path)


def toy_set(folder: Path) -> IdxSet:
    """Four small official-looking files in `folder`, and the set that describes them."""
    arrays = {
        "train-images-idx3-ubyte": np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2),
        "train-labels-idx1-ubyte": np.arange(6, dtype=np.uint8),
        "t10k-images-idx3-ubyte": np.full((2, 2, 2), 9, np.uint8),
        "t10k-labels-idx1-ubyte": np.array([1, 0], np.uint8),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
    digests = {name: hashlib.md5(idx_bytes(array)).hexdigest() for name, array in arrays.items()}
    return IdxSet("toy", folder.as_uri() + "/", digests)


@pytest.mark.parametrize("layout", ["folder", "flat", "plain"])
def test_idx_sets_are_found_in_every_layout(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "toy" if layout != "flat" else tmp_path
    which = toy_set(folder)
    if layout == "plain":
        for path in list(folder.glob("*.gz")):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    data = read_idx_set(which, tmp_path)
    assert data.train_images.shape == (6, 1, 2, 2)
    assert data.test_labels.tolist() == [1, 0]


def test_missing_files_name_folders_and_addresses_and_can_be_fetched(tmp_path: Path) -> None:
    which = toy_set(tmp_path / "server")
    home = tmp_path / "home"
    with pytest.raises(DataError) as caught:
        read_idx_set(which, home)
    for part in (str(home / "toy"), f"{which.url}t10k-labels-idx1-ubyte.gz", "allow the download"):
        assert part in str(caught.value)
    seen: list[tuple[str, int, int | None]] = []
    data = read_idx_set(which, home, fetch=True, progress=lambda *report: seen.append(report))
    assert data.train_labels.tolist() == list(range(6))
    assert len(seen) == 4
    assert all(received == expected for _, received, expected in seen)
    assert sorted(p.name for p in (home / "toy").iterdir()) == sorted(f"{n}.gz" for n in which.md5)


def test_wrong_downloads_leave_nothing_behind(tmp_path: Path) -> None:
    which = toy_set(tmp_path / "server")
    wrong = IdxSet("toy", which.url, {**which.md5, "t10k-labels-idx1-ubyte": "0" * 32})
    home = tmp_path / "home"
    with pytest.raises(DataError, match=r"expected 0{32}"):
        read_idx_set(wrong, home, fetch=True)
    assert not [p for p in (home / "toy").iterdir() if "t10k-labels" in p.name or p.name.startswith(".")]


class Breaking(http.server.BaseHTTPRequestHandler):
    """Announces more than it sends."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/short" else 404)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"only this")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{service.server_address[1]}"
        service.shutdown()
        thread.join()


def test_broken_transfers_are_reported(tmp_path: Path, server: str) -> None:
    with pytest.raises(DataError, match="broke off after 9 of 100"):
        download(f"{server}/short", tmp_path / "f", lambda path: None)
    with pytest.raises(DataError, match=r"cannot download .*absent.*copy the file there"):
        download(f"{server}/absent", tmp_path / "f", lambda path: None)
    with pytest.raises(DataError, match="cannot download"):
        download((tmp_path / "none").as_uri(), tmp_path / "f", lambda path: None)
    assert list(tmp_path.iterdir()) == []


def test_digests_name_both_values() -> None:
    check_digest(b"abc", "md5", "900150983cd24fb0d6963f7d28e17f72", "abc")  # RFC 1321, appendix A.5
    with pytest.raises(DataError, match="abc has md5 900150983cd24fb0d6963f7d28e17f72, expected 1"):
        check_digest(b"abc", "md5", "1", "abc")


# Class counts and pixel statistics as published with the data sets.
MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize(
    ("which", "train", "test", "mean", "std"),
    [
        (MNIST, MNIST_TRAIN, MNIST_TEST, 0.130660, 0.308108),
        (FASHION_MNIST, [6000] * 10, [1000] * 10, 0.286041, 0.353024),
    ],
)
def test_mnist_and_fashion_mnist_are_the_published_data(
    data_dir: Path, which: IdxSet, train: list[int], test: list[int], mean: float, std: float
) -> None:
    if not (data_dir / which.name).is_dir():
        pytest.skip(f"no {which.name} in the data folder")
    data = read_idx_set(which, data_dir)
    assert data.train_images.shape == (60000, 1, 28, 28)
    assert data.test_images.shape == (10000, 1, 28, 28)
    assert np.bincount(data.train_labels).tolist() == train
    assert np.bincount(data.test_labels).tolist() == test
    assert data.train_images.mean() / 255 == pytest.approx(mean, abs=1e-6)
    assert data.train_images.std() / 255 == pytest.approx(std, abs=1e-6)


@pytest.fixture(scope="module")
def cifar_data(data_dir: Path) -> object:
    if not (data_dir / "cifar10").is_dir():
        pytest.skip("no cifar10 in the data folder")
    return cifar.read_cifar10(data_dir)


@pytest.mark.slow
def test_cifar10_is_the_published_data(cifar_data: object) -> None:
    data = cifar_data
    assert data.train_images.shape == (50000, 3, 32, 32)
    assert np.bincount(data.train_labels).tolist() == [5000] * 10
    assert np.bincount(data.test_labels).tolist() == [1000] * 10
    # commonly quoted channel statistics of the training set
    assert data.train_images.mean((0, 2, 3)) / 255 == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
    assert data.train_images.std((0, 2, 3)) / 255 == pytest.approx([0.2470, 0.2435, 0.2616], abs=1e-4)
    first = np.ascontiguousarray(data.test_images[0].transpose(1, 2, 0))
    assert hashlib.sha256(first).hexdigest() == "af12e1241a1e7a0c9ba326825279bef5fe961ceb5f95212a99f9b1f22711f913"


@pytest.mark.slow
def test_cifar10_checksums_find_a_changed_pixel_or_label(cifar_data: object) -> None:
    data = cifar_data
    records = np.concatenate([data.test_labels[:, None], data.test_images.reshape(10000, 3072)], 1)
    cifar.check_records(records.tobytes(), "test_batch")
    for row, column in ((0, 5), (1259, 0), (9999, 3072)):
        changed = records.copy()
        changed[row, column] ^= 1
        with pytest.raises(DataError, match="test_batch has records with sha256"):
            cifar.check_records(changed.tobytes(), "test_batch")
    other_copy = records.copy()
    other_copy[1259, 1:] ^= 255  # an image that the sheets hold as a JPEG copy: its pixels are not part of the checksum
    cifar.check_records(other_copy.tobytes(), "test_batch")
    with pytest.raises(DataError, match="has 30729999 bytes, expected 30730000"):
        cifar.check_records(records.tobytes()[:-1], "test_batch")


@pytest.fixture
def small_cifar(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Batches of 30 random records, known to the reader by their checksums."""
    rng = np.random.default_rng(0)
    batches = {}
    for name in cifar.BATCHES:
        records = rng.integers(0, 256, (30, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(30) % 10
        batches[name] = records.tobytes()
    monkeypatch.setattr(cifar, "_COUNT", 30)
    monkeypatch.setattr(cifar, "SUBSTITUTED", dict.fromkeys(cifar.BATCHES, ()))
    digests = {name: hashlib.sha256(raw).hexdigest() for name, raw in batches.items()}
    monkeypatch.setattr(cifar, "RECORDS_SHA256", digests)
    return batches


def write_archive(path: Path, batches: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in {**batches, "../outside": b"x"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))


@pytest.mark.parametrize("layout", ["cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar10", ".", "archive"])
def test_cifar10_binary_layouts(tmp_path: Path, small_cifar: dict[str, bytes], layout: str) -> None:
    if layout == "archive":
        write_archive(tmp_path / cifar.ARCHIVE, small_cifar)
    else:
        (tmp_path / layout).mkdir(parents=True, exist_ok=True)
        for name, raw in small_cifar.items():
            (tmp_path / layout / f"{name}.bin").write_bytes(raw)
    before = sorted(tmp_path.rglob("*"))
    data = cifar.read_cifar10(tmp_path)
    records = np.frombuffer(b"".join(small_cifar[n] for n in cifar.BATCHES), np.uint8).reshape(180, 3073)
    assert np.array_equal(data.train_labels, records[:150, 0])
    assert np.array_equal(data.test_images.reshape(30, 3072), records[150:, 1:])
    assert data.test_images[0, 2, 0, 1] == records[150, 1 + 2 * 1024 + 1]
    assert data.test_images.flags.writeable
    assert sorted(tmp_path.rglob("*")) == before


def test_cifar10_archive_is_downloaded_checked_and_refused(
    tmp_path: Path, small_cifar: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_archive(tmp_path / "origin.tar.gz", small_cifar)
    monkeypatch.setattr(cifar, "URL", (tmp_path / "origin.tar.gz").as_uri())
    home = tmp_path / "home"
    with pytest.raises(DataError, match=r"CIFAR-10 not found in .*home.*allow the download"):
        cifar.read_cifar10(home)
    with pytest.raises(DataError, match=f"expected {cifar.ARCHIVE_MD5}"):
        cifar.read_cifar10(home, fetch=True)
    assert list((home / "cifar10").iterdir()) == []
    digest = hashlib.md5((tmp_path / "origin.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setattr(cifar, "ARCHIVE_MD5", digest)
    assert len(cifar.read_cifar10(home, fetch=True).train_labels) == 150
    assert [p.name for p in (home / "cifar10").iterdir()] == [cifar.ARCHIVE]


def test_damaged_cifar10_archives_are_named(tmp_path: Path, small_cifar: dict[str, bytes]) -> None:
    path = tmp_path / cifar.ARCHIVE
    write_archive(path, {k: v for k, v in small_cifar.items() if k != "test_batch"})
    with pytest.raises(DataError, match="holds no test_batch"):
        cifar.read_cifar10(tmp_path)
    write_archive(path, small_cifar)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot read"):
        cifar.read_cifar10(tmp_path)


def test_damaged_sheets_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    labels = np.zeros(10000, np.uint8)
    path = tmp_path / "data_batch_1.webp"
    with pytest.raises(DataError, match=r"cannot read .*data_batch_1\.webp"):
        cifar.sheet_records(path, labels)
    path.write_bytes(b"RIFF....WEBP nonsense")
    with pytest.raises(DataError, match=r"cannot read .*data_batch_1\.webp"):
        cifar.sheet_records(path, labels)
    image.new("RGB", (64, 32)).save(path, lossless=True)
    with pytest.raises(DataError, match=r"\(64, 32\) pixels, expected \(3200, 3200\)"):
        cifar.sheet_records(path, labels)
    (tmp_path / "labels_and_flags.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"labels of CIFAR-10 from .*labels_and_flags\.npz"):
        cifar.read_cifar10(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ToolError, match=r"pip install 'laxity\[images\]'"):
        cifar.sheet_records(path, labels)
