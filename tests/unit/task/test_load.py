"""`load_task`: built-in tasks, functions, task files, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from laxity.core.errors import ConfigError, DataError, LaxityError, RegistryError, TaskError
from laxity.models import build_for, initialised
from laxity.task import Task, labels_of, load_task, make_task
from laxity.task.files import read_arrays
from laxity.task.train import accuracy
from laxity.task.weights import load_weights, read_state, write_state

NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(12, num_classes))

    def forward(self, x):
        return self.body(x)

def ready():
    return Net(3)

def needy(width):
    return Net(width)

def text():
    return "no network"

NUMBER = 3
"""

FUNCTIONS = """
import torch
from torch import nn
from laxity.task import make_task

x, y = torch.rand(40, 6), torch.arange(40) % 4

def task():
    return make_task("inner", nn.Linear(6, 4), train=(x, y))

def pair():
    return nn.Linear(6, 4), (x, y)

def mapping():
    return {"model": nn.Linear(6, 4), "data": {"x_train": x, "y_train": y, "x_test": x[:5], "y_test": y[:5]}}

def splits():
    return {"name": "own", "model": nn.Linear(6, 4), "data": {"train": (x, y), "validation": (x[:3], y[:3])}}

def arguments():
    return {"model": nn.Linear(6, 4), "train": (x, y), "notes": "by hand"}

def typo():
    return {"model": nn.Linear(6, 4), "trian": (x, y)}

def no_model():
    return {"train": (x, y)}

def bad_keys():
    return nn.Linear(6, 4), {"images": x}

def nothing():
    return None

def needy(path):
    return path

value = 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: net.py, mine.py, data.npz, weights of Net and of lenet5."""
    (tmp_path / "net.py").write_text(NETWORK)
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 3, 2, 2), np.float32), np.arange(60) % 4
    np.savez(tmp_path / "data.npz", x=x, y=y)
    np.savez(tmp_path / "four.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    save_file({"body.1.weight": torch.ones(4, 12), "body.1.bias": torch.arange(4.0)}, tmp_path / "net.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mine(**changes: object) -> Task:
    chosen = {"model": "net.py:Net", "weights": "net.safetensors", "data": "data.npz", **changes}
    return load_task("mine", **{k: v for k, v in chosen.items() if v is not None})


def test_own_files_make_a_task(folder: Path) -> None:
    task = mine()
    assert task.name == "mine"
    assert {n: len(s) for n, s in task.splits().items()} == {"train": 36, "calibration": 6, "validation": 6, "test": 12}
    assert task.model.body[1].bias.tolist() == [0, 1, 2, 3]
    assert task.num_classes == 4
    assert "net.safetensors" in task.notes
    assert mine().fingerprint == task.fingerprint
    four = mine(data="four.npz")
    assert torch.equal(labels_of(four.test), torch.arange(40, 60) % 4)
    assert len(four.train) == 32


def test_registered_networks_and_flat_data(folder: Path) -> None:
    rng = np.random.default_rng(1)
    np.savez("flat.npz", x=rng.integers(0, 256, (30, 784), dtype=np.uint8), y=np.arange(30) % 3)
    write_state(Path("lenet.safetensors"), initialised(lambda: build_for("lenet5", (1, 28, 28), 3), 0))
    task = load_task("flat", model="lenet5", weights="lenet.safetensors", data="flat.npz", input_shape=(1, 28, 28))
    assert task.example_input.shape == (1, 1, 28, 28)
    assert float(task.train.fetch(range(18))[0].max()) == 1.0
    write_state(Path("mlp.safetensors"), initialised(lambda: build_for("mlp", (784,), 3), 0))
    assert load_task("flat", model="mlp", weights="mlp.safetensors", data="flat.npz").num_classes == 3
    with pytest.raises(DataError, match=r"shape \(784,\), which cannot become \(1, 8, 8\)"):
        load_task("flat", model="lenet5", weights="lenet.safetensors", data="flat.npz", input_shape=(1, 8, 8))
    with pytest.raises(TaskError, match=r"'lenet5' takes images .*, not \(784,\); give the input shape"):
        load_task("flat", model="lenet5", weights="lenet.safetensors", data="flat.npz", num_classes=3)
    with pytest.raises(TaskError, match="network 'mlp' has no weights"):
        load_task("flat", model="mlp", data="flat.npz")
    with pytest.raises(RegistryError, match="did you mean 'lenet5'"):
        load_task("flat", model="lenet", data="flat.npz")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": None}, ConfigError, "no model"),
        ({"model": "absent.py:Net"}, TaskError, r"no Python file at .*absent\.py"),
        ({"model": "net.py:Nett"}, TaskError, "has no 'Nett'; did you mean 'Net'"),
        ({"model": "net.py:needy"}, TaskError, "cannot be called without arguments"),
        ({"model": "net.py:text"}, TaskError, "returned a str"),
        ({"model": "net.py:NUMBER"}, TaskError, "is a int"),
        ({"model": "broken.py:Net"}, TaskError, "ModuleNotFoundError"),
        ({"model": "net.py:"}, TaskError, "names no object"),
        ({"model": "net.py:ready", "weights": None}, TaskError, r"shape \(1, 3\), not \(1, 4\)"),
        ({"model": "net.py:ready", "weights": None, "num_classes": 3}, DataError, r"labels 0\.\.3; .* in 0\.\.2"),
        ({"weights": "absent.safetensors"}, TaskError, r"no weights at absent\.safetensors"),
        ({"data": "absent.npz"}, DataError, r"no data at absent\.npz"),
        ({"num_classes": 3}, TaskError, "2 shapes differ"),
        ({"num_classes": 9, "weights": None, "model": "net.py:ready"}, TaskError, r"shape \(1, 3\), not \(1, 9\)"),
    ],
)
def test_own_files_that_do_not_fit(folder: Path, changes: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mine(**changes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((9, 12))}, "no labels"),
        ({"inputs": np.zeros(3), "y": np.arange(3)}, "x, y or x_train"),
        ({}, "holds nothing"),
        ({"x": np.zeros((9, 12)), "y": np.arange(9.0)}, "labels are float64"),
        ({"x": np.zeros((9, 12)), "y": np.arange(8)}, "9 inputs but 8 labels"),
        ({"x": np.zeros((9, 12)), "y": np.arange(9) - 1}, "label -1 is negative"),
        ({"x": np.zeros((0, 12)), "y": np.zeros(0, int)}, r"'x' is empty \(shape \(0, 12\)\)"),
        ({"x": np.zeros((9, 12)), "y": np.array([None] * 9, dtype=object)}, "archive of numbers"),
        ({"x": np.full((40, 12), np.nan), "y": np.arange(40) % 4}, "NaN or infinite"),
    ],
)
def test_malformed_archives(folder: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez("bad.npz", allow_pickle=True, **arrays)
    with pytest.raises(DataError, match=message):
        mine(data="bad.npz")


def test_files_that_are_no_archives(folder: Path) -> None:
    np.save("one.npy", np.zeros(3))
    with pytest.raises(DataError, match="holds one array"):
        mine(data="one.npy")
    raw = Path("data.npz").read_bytes()
    for content in (b"", b"text", raw[: len(raw) // 2], raw[:-30]):
        Path("cut.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"cannot read cut\.npz"):
            mine(data="cut.npz")


def damaged(raw: bytes, rng: np.random.Generator) -> bytes:
    """`raw` cut off, or with one to three random bytes."""
    array = np.frombuffer(raw, np.uint8).copy()
    if rng.random() < 0.2:
        return array[: rng.integers(len(array))].tobytes()
    array[rng.integers(0, len(array), rng.integers(1, 4))] = rng.integers(0, 256)
    return array.tobytes()


@pytest.mark.parametrize("form", ["plain.npz", "packed.npz", "zip.pt", "old.th", "w.safetensors"])
def test_randomly_damaged_files_are_read_or_refused_cleanly(tmp_path: Path, form: str) -> None:
    path, model = tmp_path / form, nn.Linear(3, 2)
    if path.suffix == ".npz":
        save = np.savez if form == "plain.npz" else np.savez_compressed
        save(path, x=np.zeros((4, 3)), y=np.arange(4))
    elif path.suffix == ".safetensors":
        write_state(path, model)
    else:
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=form == "zip.pt")
    read = read_arrays if path.suffix == ".npz" else read_state
    raw, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(400):
        path.write_bytes(damaged(raw, rng))
        try:
            read(path)
        except LaxityError as error:
            refused += form in str(error)
    assert refused > 100


def write_toml(text: str, name: str = "task.toml") -> str:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    return name


FULL = """
name = "shop"
model = "../net.py:Net"
weights = "../net.safetensors"
data = "../data.npz"
num_classes = 4
mean = [0.5, 0.25, 0.0]
std = 2
"""


def test_task_files_resolve_paths_and_scale(folder: Path) -> None:
    name = write_toml(FULL, "inner/task.toml")
    task = load_task(name)
    assert task.name == "shop"
    stored = np.load("data.npz")["x"]
    wanted = (stored[task.train.indices[0]] - np.array([0.5, 0.25, 0.0])[:, None, None]) / 2
    np.testing.assert_allclose(task.train.fetch([0])[0][0], wanted, atol=1e-6)
    assert load_task(Path(name)).fingerprint == task.fingerprint
    assert len(load_task(name, data="four.npz").test) == 20
    assert load_task(name, weights="net.safetensors", model="net.py:Net").model.body[1].bias.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = 'net.py:Net'", "unknown key 'modle'; did you mean 'model'"),
        ("data = 'a'\ndata = 'b'", r"task\.toml: .*line 2"),
        ("data = a", r"task\.toml: .*line 1"),
        ("data = 3", "data is 3; it must be a text"),
        ("name = ''", "name is ''"),
        ("num_classes = 1", "num_classes is 1"),
        ("num_classes = '4'", "num_classes is '4'"),
        ("mean = 'a'", "mean is 'a'"),
        ("std = []", r"std is \[\]"),
        ("input_shape = [1.5]", r"input_shape is \[1.5\]"),
        ("model = 'net.py:Net'", "has no data"),
    ],
)
def test_wrong_task_files(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task(write_toml(text))


def test_unreadable_task_files(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the task file absent\.toml"):
        load_task("absent.toml")
    Path("latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(ConfigError, match=r"cannot read the task file latin\.toml"):
        load_task("latin.toml")


@pytest.mark.parametrize(
    ("function", "name", "sizes"),
    [
        ("task", "inner", [24, 4, 4, 8]),
        ("pair", "pair", [24, 4, 4, 8]),
        ("mapping", "mapping", [32, 4, 4, 5]),
        ("splits", "own", [28, 4, 3, 8]),
        ("arguments", "arguments", [24, 4, 4, 8]),
    ],
)
@pytest.mark.parametrize("form", ["mine:{}", "mine.py:{}", "{folder}/mine.py:{}"])
def test_functions_make_tasks(folder: Path, form: str, function: str, name: str, sizes: list[int]) -> None:
    task = load_task(form.format(function, folder=folder))
    assert task.name == name
    assert [len(s) for s in task.splits().values()] == sizes


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("mine:typo", TaskError, "unknown key 'trian'; did you mean 'train'"),
        ("mine:no_model", TaskError, "no 'model'"),
        ("mine:bad_keys", DataError, "data has the keys images"),
        ("mine:nothing", TaskError, "returned a NoneType"),
        ("mine:needy", TaskError, r"needs arguments \(path\)"),
        ("mine:value", TaskError, "is a int"),
        ("mine:tsak", TaskError, "did you mean 'task'"),
        ("no_such_module_here:task", TaskError, "ModuleNotFoundError"),
        (":task", TaskError, "names no object"),
    ],
)
def test_functions_that_make_no_task(folder: Path, spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_task(spec)


def test_tasks_and_functions_pass_through_and_take_no_options(folder: Path) -> None:
    x, y = torch.rand(40, 6), torch.arange(40) % 4
    task = make_task("direct", nn.Linear(6, 4), train=(x, y))
    assert load_task(task) is task
    assert load_task(lambda: task) is task
    for spec in (task, lambda: task, "mine:task"):
        with pytest.raises(ConfigError, match=r"weights='w\.pt' cannot be used"):
            load_task(spec, weights="w.pt")
    with pytest.raises(ConfigError, match="has its own data"):
        load_task("digits", data="data.npz")


def test_unknown_tasks_propose_near_names() -> None:
    with pytest.raises(RegistryError, match="unknown task 'digit'; did you mean 'digits'"):
        load_task("digit")
    with pytest.raises(RegistryError, match="unknown task 'fashion-mnist'; did you mean 'fashion_mnist'"):
        load_task("fashion-mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist_without_data(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz.* not found .*http.*/t10k-images-idx3-ubyte\.gz"):
        load_task(name, data_dir=tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist_without_weights(data_dir: Path, tmp_path: Path, name: str) -> None:
    if not (data_dir / name).is_dir():
        pytest.skip(f"no {name} in the data folder")
    (tmp_path / name).symlink_to(data_dir / name)
    with pytest.raises(TaskError, match=f"train them with: laxity train {name} --model lenet5 .*--seed 0"):
        load_task(name, data_dir=tmp_path)


def test_cifar10_without_weights_or_data(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"get https://.*resnet20-12fca82f\.th, or train them"):
        load_task("cifar10", data_dir=tmp_path)
    with pytest.raises(TaskError, match=r"resnet8_mlperftiny_cifar10\.pt.*\); train them"):
        load_task("cifar10", data_dir=tmp_path, model="resnet8")
    write_state(tmp_path / "w.safetensors", initialised(lambda: build_for("vgg11", (3, 32, 32), 10), 0))
    with pytest.raises(DataError, match=r"https://www\.cs\.toronto\.edu/~kriz/cifar-10-binary\.tar\.gz"):
        load_task("cifar10", data_dir=tmp_path, model="vgg11", weights=tmp_path / "w.safetensors")


def test_the_data_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAXITY_DATA", str(tmp_path / "here"))
    with pytest.raises(LaxityError, match=str(tmp_path / "here")):
        load_task("cifar10")


def test_mnist_splits_are_fixed_and_stratified(data_dir: Path, tmp_path: Path) -> None:
    if not (data_dir / "mnist").is_dir():
        pytest.skip("no mnist in the data folder")
    write_state(tmp_path / "w.safetensors", initialised(lambda: build_for("lenet5", (1, 28, 28), 10), 0))
    task = load_task("mnist", data_dir=data_dir, weights=tmp_path / "w.safetensors")
    sizes = {n: len(s) for n, s in task.splits().items()}
    assert sizes == {"train": 54000, "calibration": 1000, "validation": 5000, "test": 10000}
    rows = torch.cat([task.train.indices, task.calibration.indices, task.validation.indices])
    assert torch.equal(rows.sort().values, torch.arange(60000))
    share = torch.bincount(task.validation.labels()) / 5000
    assert torch.allclose(share, torch.bincount(task.train.labels()) / 54000, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "error"), [("resnet20", 0.0827), ("resnet8", 0.1279)])
def test_checkpoints_give_their_published_error(data_dir: Path, network: str, error: float) -> None:
    if not (data_dir / "resnet_cifar10").is_dir():
        pytest.skip("no resnet_cifar10 in the data folder")
    task = load_task("cifar10", data_dir=data_dir, model=network)
    measured = 1 - accuracy(task.model, task.test, batch_size=500)
    assert measured == pytest.approx(error, abs=1.01e-4)  # one image more or less, for other float kernels
    assert "optimistic" in task.notes


@pytest.mark.parametrize("network", ["resnet32", "resnet56"])
def test_other_checkpoints_load_completely(data_dir: Path, network: str) -> None:
    path = data_dir / "resnet_cifar10" / f"{network}_cifar10.pt"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the data folder")
    model = build_for(network, (3, 32, 32), 10)
    state = read_state(path)
    load_weights(model, state, path.name)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
