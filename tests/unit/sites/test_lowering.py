"""Functions that accumulate products: what they consist of, what cannot be emulated, and what is left exact."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from laxity.core.errors import RegistryError, TaskError
from laxity.sites import Product, composite, find_sites, prepare
from laxity.sites.audit import accumulates
from laxity.sites.composites import COMPOSITES, open_composites
from laxity.sites.contraction import NotLowered, contract, einsum
from laxity.sites.lowering import COMPUTED_WEIGHTS, LOWERINGS


class Calls(nn.Module):
    """Returns what a function of the input returns."""

    def __init__(self, function, *stored):
        super().__init__()
        self.function = function
        for i, tensor in enumerate(stored):
            self.register_buffer(f"t{i}", tensor)

    def forward(self, x):
        return self.function(x, *self.buffers())


def rand(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


FUNCTIONS = {
    "torch.mv": (torch.mv, (rand(3, 4), rand(4)), {}, 1),
    "Tensor.mv": (torch.Tensor.mv, (rand(3, 4), rand(4)), {}, 1),
    "dot": (torch.dot, (rand(5), rand(5, seed=1)), {}, 1),
    "dot by name": (torch.dot, (rand(5),), {"tensor": rand(5, seed=1)}, 1),
    "vdot": (torch.vdot, (rand(5),), {"other": rand(5, seed=1)}, 1),
    "inner": (torch.inner, (rand(2, 3, 4), rand(5, 4)), {}, 1),
    "inner of vectors": (torch.inner, (rand(4), rand(4, seed=1)), {}, 1),
    "inner of numbers": (torch.inner, (rand(2, 3), torch.tensor(2.0)), {}, 0),
    "vecdot": (torch.linalg.vecdot, (rand(2, 3, 4), rand(3, 4)), {}, 1),
    "vecdot along": (torch.linalg.vecdot, (rand(3, 4), rand(3, 4, seed=1)), {"dim": 0}, 1),
    "addmm": (torch.addmm, (rand(5), rand(3, 4), rand(4, 5)), {"beta": 0.5, "alpha": 2}, 1),
    "addmm without": (torch.addmm, (torch.full((5,), torch.nan), rand(3, 4), rand(4, 5)), {"beta": 0}, 1),
    "addmv": (torch.addmv, (rand(3), rand(3, 4), rand(4)), {"alpha": 3}, 1),
    "baddbmm": (torch.baddbmm, (rand(2, 3, 5), rand(2, 3, 4), rand(2, 4, 5)), {"beta": 2}, 1),
    "addbmm": (torch.addbmm, (rand(3, 5), rand(2, 3, 4), rand(2, 4, 5)), {"beta": 2, "alpha": 0.3}, 1),
    "tensordot": (torch.tensordot, (rand(3, 4, 5), rand(4, 5, 6)), {}, 1),
    "tensordot one": (torch.tensordot, (rand(3, 4), rand(4, 5)), {"dims": 1}, 1),
    "tensordot lists": (torch.tensordot, (rand(3, 4, 5), rand(5, 2, 3)), {"dims": ([0, -1], [2, 0])}, 1),
    "tensordot outer": (torch.tensordot, (rand(3), rand(4)), {"dims": 0}, 0),
    "multi_dot": (torch.linalg.multi_dot, ([rand(3, 4), rand(4, 5)],), {}, 1),
    "chain_matmul": (torch.chain_matmul, (rand(3, 4), rand(4, 5)), {}, 1),
    "matmul": (torch.linalg.matmul, (rand(2, 3, 4), rand(4, 5)), {}, 1),
    "bilinear": (F.bilinear, (rand(2, 6, 3), rand(2, 6, 4), rand(5, 3, 4), rand(5)), {}, 2),
    "bilinear without bias": (F.bilinear, (rand(6, 3), rand(6, 4), rand(5, 3, 4)), {}, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore:.*chain_matmul is deprecated")
def test_lowered_functions_equal_torch(name):
    function, args, kwargs, products = FUNCTIONS[name]
    lowering, asked = LOWERINGS[function], []

    def parts(part):
        def multiply(left, right):
            asked.append(part)
            return left @ right

        return multiply

    torch.testing.assert_close(lowering(parts, args, kwargs), function(*args, **kwargs))
    assert len(asked) == products
    assert len(set(asked)) == products


def test_results_go_where_the_call_wants_them():
    target, own = torch.zeros(1), torch.ones(3, 5)
    a, b = rand(3, 4), rand(4, 5)
    got = LOWERINGS[torch.mm](lambda _: torch.matmul, (a, b), {"out": target})
    assert got is target
    assert torch.equal(target, a @ b)
    assert LOWERINGS[torch.Tensor.addmm_](lambda _: torch.matmul, (own, a, b), {}) is own
    torch.testing.assert_close(own, 1 + a @ b)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]), ("ij,jk", [(2, 3), (3, 4)]), ("bij, bkj -> bik", [(2, 3, 4), (2, 5, 4)]),
        ("bhld,bhsd->bhls", [(2, 3, 4, 5), (2, 3, 6, 5)]), ("i,i->", [(5,), (5,)]), ("i,i", [(5,), (5,)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (5, 1, 4, 6)]), ("...i,...i", [(2, 5), (2, 5)]),
        ("ij...,jk->k...i", [(2, 3, 4), (3, 5)]), ("ijx,jky->ki", [(2, 3, 4), (3, 5, 6)]),
        ("ij,jk->ik", [(2, 1), (3, 4)]), ("bi,bi->b", [(3, 4), (3, 4)]), ("ab,cd,->", None),
        ("zi,iz->z", [(3, 4), (4, 3)]),
        ("cb,ab->ca", [(2, 3), (4, 3)]),
    ],
)  # fmt: skip
def test_einsum_equals_torch(equation, shapes):
    if shapes is None:
        with pytest.raises(NotLowered, match="more than two operands"):
            einsum(torch.matmul, equation, rand(1, 1), rand(1, 1), rand())
        return
    operands = [rand(*s, seed=i) for i, s in enumerate(shapes)]
    seen = []
    got = einsum(lambda a, b: seen.append(1) or a @ b, equation, *operands)
    torch.testing.assert_close(got, torch.einsum(equation, *operands))
    assert seen == [1]
    torch.testing.assert_close(einsum(torch.matmul, equation, operands), got)


def test_einsum_with_lists_of_indices():
    a, b = rand(2, 3, 4), rand(5, 4, 2)
    got = einsum(torch.matmul, a, [0, 1, 2], b, [7, 2, 0], [7, 1])
    torch.testing.assert_close(got, torch.einsum(a, [0, 1, 2], b, [7, 2, 0], [7, 1]))
    got = einsum(torch.matmul, a, [..., 2], b, [7, 2, 0], [..., 7])
    torch.testing.assert_close(got, torch.einsum(a, [..., 2], b, [7, 2, 0], [..., 7]))


@pytest.mark.parametrize("equation", ["i,j->ij", "ij,ij->ij", "ij->ji", "ij->", "ii->i"])
def test_einsum_that_accumulates_nothing_has_no_product(equation):
    operands = [rand(4, 4)] if "," not in equation else [rand(4), rand(4)] if "i,j" in equation else [rand(4, 4)] * 2

    def refuse(*_):
        raise AssertionError("nothing is accumulated")

    torch.testing.assert_close(einsum(refuse, equation, *operands), torch.einsum(equation, *operands))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_contraction_equals_einsum(data):
    left = data.draw(st.permutations("abcd").map(lambda p: p[: 1 + data.draw(st.integers(0, 3))]))
    right = data.draw(st.permutations("abcd").map(lambda p: p[: 1 + data.draw(st.integers(0, 3))]))
    labels = sorted({*left, *right})
    output = data.draw(st.permutations(labels).map(lambda p: p[: data.draw(st.integers(0, len(labels)))]))
    sizes = dict(zip("abcd", (2, 3, 4, 5), strict=True))
    a, b = rand(*(sizes[i] for i in left)), rand(*(sizes[i] for i in right), seed=1)
    wanted = torch.einsum(f"{''.join(left)},{''.join(right)}->{''.join(output)}", a, b)
    torch.testing.assert_close(contract(torch.matmul, a, b, left, right, output), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("dims", "options"),
    [
        (1, {"stride": 2, "padding": 1}), (2, {"padding": "same", "dilation": (1, 2)}), (2, {"groups": 2}),
        (2, {"stride": (2, 1), "padding": [1, 0], "dilation": 2}), (3, {"padding": "valid"}), (1, {"stride": (3,)}),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_convolutions_with_computed_weights_equal_torch(dims, options):
    x, weight = rand(2, 4, *(7, 6, 5)[:dims]), rand(6, 4 // options.get("groups", 1), *(3, 2, 2)[:dims], seed=1)
    function = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    got = COMPUTED_WEIGHTS[f"conv{dims}d"](lambda _: torch.matmul, (x, weight, rand(6)), options)
    torch.testing.assert_close(got, function(x, weight, rand(6), **options), rtol=1e-4, atol=1e-4)


def test_functions_become_sites_with_their_work():
    w, vector = rand(4, 4), rand(4)

    def run(x, w, vector):
        y = torch.einsum("bi,ij->bj", x, w) + torch.addmm(vector, x, w)
        return y * torch.mv(w, vector) + torch.tensordot(y, w, 1) * torch.dot(vector, vector)

    sites = find_sites(Calls(run, w, vector), rand(1, 4))
    assert [(s.name, s.op.macs) for s in sites] == [
        (":einsum#0", 16), (":addmm#0", 16), (":mv#0", 16), (":tensordot#0", 16), (":dot#0", 4)
    ]  # fmt: skip
    assert {s.op.kind for s in sites} == {"matmul"}
    assert all(s.functional for s in sites)


def test_bilinear_modules_are_opened():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = nn.Bilinear(3, 4, 5)

        def forward(self, x):
            return self.pair(x[..., :3], x[..., 3:])

    torch.manual_seed(0)
    model, x = Pair(), rand(2, 6, 7)
    prepared = prepare(model, x)
    assert [(s.name, s.op.kind, s.op.macs) for s in prepared.sites] == [
        ("pair.left", "linear", 6 * 3 * 4 * 5), ("pair.right", "matmul", 6 * 4 * 5)
    ]  # fmt: skip
    torch.testing.assert_close(prepared.model(x), model(x))


class Times(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        return a @ b

    @staticmethod
    def backward(ctx, grad):
        return grad, grad


@torch.library.custom_op("laxity_tests::mixed", mutates_args=())
def mixed(x: torch.Tensor) -> torch.Tensor:
    """An operator that torch cannot look into."""
    return x @ x.T


OPAQUE = {
    "custom operator": (lambda x, _: mixed(x), ":mixed#0", "it runs laxity_tests::mixed"),
    "three operands": (lambda x, w: torch.einsum("bi,ij,jk->bk", x, w, w), ":einsum#0", "more than two operands"),
    "repeated index": (lambda x, w: torch.einsum("ii,bi->b", w, x), ":einsum#0", "torch.diagonal"),
    "chain": (lambda x, w: torch.linalg.multi_dot([x, w, w]), ":multi_dot#0", "in the order you want"),
    "matrix power": (lambda x, w: x * torch.matrix_power(w, 2)[0], ":matrix_power#0", "it runs aten::mm"),
    "distances": (torch.cdist, ":cdist#0", "cdist"),
    "operator": (torch.ops.aten.mm, ":mm#0", "it runs aten::mm"),
    "complex": (lambda x, w: (x.to(torch.complex64) @ w.to(torch.complex64)).real, ":matmul#0", "complex"),
    "sparse": (lambda x, w: torch.mm(w.to_sparse(), x.t()), ":matmul#0", "sparse"),
    "transposed": (
        lambda x, w: F.conv_transpose1d(x[:, :, None], (w * 2)[:, :, None])[..., 0], ":conv_transpose1d#0", "on the fly"
    ),
    "one sample": (lambda x, w: F.conv1d(w, w.abs()[:, :, None])[:, 0][None], ":conv1d#0", "unsqueeze(0)"),
    "function of torch": (lambda x, w: torch.lstm_cell(x, [x, x], w.repeat(4, 1), w.repeat(4, 1))[0], ":lstm_cell#0",
                          "it runs aten::mm"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OPAQUE)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_what_cannot_be_emulated_is_an_error_that_names_it(kind):
    function, name, reason = OPAQUE[kind]
    model, x = nn.Sequential(nn.Linear(4, 4), Calls(function, rand(4, 4))), rand(1, 4)
    with pytest.raises(TaskError) as caught:
        find_sites(model, x)
    assert f"'1{name}'" in str(caught.value)
    assert reason in str(caught.value)
    assert f"exact=['1{name}']" in str(caught.value)
    for exact in (f"1{name}", "1", "1:*", "*#0"):
        assert [s.name for s in find_sites(model, x, exact=[exact])] == ["0"]
    with pytest.raises(TaskError, match="cannot be emulated"):
        prepare(model, x)
    assert [s.name for s in prepare(model, x, exact=("1",)).sites] == ["0"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_scripted_modules_are_seen():
    model = nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Linear(4, 4)))
    with pytest.raises(TaskError, match=r"':addmm#0' \(it runs aten::addmm\)"):
        find_sites(model, rand(1, 4))
    assert [s.name for s in find_sites(model, rand(1, 4), exact=[":addmm#0"])] == ["0"]


def test_autograd_functions_are_seen_through():
    sites = find_sites(Calls(Times.apply, rand(4, 4)), rand(1, 4))
    assert [(s.name, s.op.macs) for s in sites] == [(":matmul#0", 16)]


def test_products_of_whole_numbers_and_embeddings_are_left_alone():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, x):
            picked = (x @ torch.eye(3, dtype=torch.int64)).clamp(0, 8)
            return self.head(self.table(picked).mean(1))

    assert [s.name for s in find_sites(Tokens(), torch.tensor([[1, 5, 8]]))] == ["head"]


def test_exact_parts_are_no_sites():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))
    x = rand(1, 4)
    assert [s.name for s in find_sites(model, x, exact=["1"])] == ["0"]
    assert [s.name for s in find_sites(model, x, exact=["1.0"])] == ["0", "1.2"]
    assert [s.name for s in find_sites(model, x, exact=["*.2", "0"])] == ["1.0"]
    with pytest.raises(TaskError, match="exact='2' matches no module, site or call"):
        find_sites(model, x, exact=["2"])
    with pytest.raises(TaskError, match="has no convolution"):
        find_sites(model, x, exact=["*"])


def test_exact_composites_stay_closed():
    model = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4, batch_first=True))
    prepared = prepare(model, rand(1, 3, 4), exact=["1"])
    assert [s.name for s in prepared.sites] == ["0"]
    assert type(prepared.model[1]) is nn.LSTM


def test_shared_layers_on_inputs_of_several_sizes():
    """The work of all calls adds up, as a head on a pyramid of features needs."""

    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            return sum(self.head(F.max_pool2d(x, k)).mean((2, 3)) for k in (1, 2, 4, 4))

    (site,) = find_sites(Pyramid(), rand(1, 3, 8, 8))
    positions = 64 + 16 + 4 + 4
    assert (site.op.macs, site.op.rows, site.op.calls) == (positions * 27 * 4, positions, 1)
    assert site.op.input_elements == positions * 3
    assert site.op.output_elements == positions * 4


def test_modules_of_others_can_be_opened(monkeypatch):
    """The extension point: a type, and a function that makes its opened form."""

    class Gram(nn.Module):
        def forward(self, x):
            return torch.stack([row.outer(row) for row in x]).sum(0)

    class OpenGram(nn.Module):
        def __init__(self):
            super().__init__()
            self.product = Product()

        def forward(self, x):
            return self.product(x.transpose(-2, -1), x)

    monkeypatch.setattr(COMPOSITES, "_entries", dict(COMPOSITES._entries))
    composite("gram", Gram)(lambda _: OpenGram())
    model = nn.Sequential(nn.Linear(4, 3), Gram())
    seen = []
    model[1].register_forward_hook(lambda *_: seen.append(1))
    (_, gram) = find_sites(model, rand(1, 4))
    assert (gram.name, gram.op.kind, gram.op.macs) == ("1.product", "matmul", 9)
    assert seen == [1]


def test_the_nearest_class_decides_how_a_module_is_opened(monkeypatch):
    class Special(nn.LSTM):
        pass

    class Changed(nn.LSTM):
        def forward(self, x):
            return super().forward(x)[0]

    monkeypatch.setattr(COMPOSITES, "_entries", dict(COMPOSITES._entries))
    composite("a special one", Special)(lambda _: nn.Identity())
    opened = open_composites(nn.ModuleList([nn.LSTM(2, 2), Special(2, 2), Changed(2, 2)]))
    assert [type(m).__name__ for m in opened] == ["OpenRecurrent", "Identity", "Changed"]
    with pytest.raises(TaskError, match=r"':lstm#0' \(it runs aten::"):
        find_sites(Changed(2, 2), rand(1, 3, 2))
    with pytest.raises(RegistryError, match="'recurrent' is registered twice"):
        composite("recurrent", nn.LSTM)(lambda _: nn.Identity())


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("aten::mm", True), ("aten::addmm", True), ("aten::convolution", True), ("aten::_scaled_mm", True),
        ("aten::mkldnn_rnn_layer", True), ("aten::_scaled_dot_product_flash_attention", True), ("aten::lstm", True),
        ("quantized::linear_relu", True), ("mine::fused_attention", True),
        ("mine::anything", True), ("torchvision::nms", False), ("torchvision::deform_conv2d", True),
        ("aten::_native_multi_head_attention", True),
        ("aten::add", False), ("aten::upsample_bilinear2d", False), ("aten::upsample_linear1d", False),
        ("aten::convert", False), ("aten::comm", False), ("aten::embedding", False),
        ("aten::linalg_vector_norm", False),
        ("aten::mul", False), ("aten::cumsum", False), ("aten::native_layer_norm", False),
    ],
)  # fmt: skip
def test_names_of_operators(name, known):
    assert accumulates(name) is known
