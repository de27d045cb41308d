"""Opened attention computes what torch computes, in every way that torch offers, and no fused path is left."""

import copy
import itertools
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.slots import Slot
from laxity.sites import find_sites, prepare
from laxity.sites.attention import OpenAttention
from laxity.sites.composites import open_composites
from laxity.sites.lowering import LOWERINGS

PARTS = ["q_proj", "k_proj", "v_proj", "scores", "values", "out_proj"]
FUSED = ("_transformer_encoder_layer_fwd", "_native_multi_head_attention", "_nested_tensor_from_mask")


def opened(module):
    return open_composites(copy.deepcopy(module))


def same(got, wanted):
    assert (got is None) == (wanted is None)
    if isinstance(wanted, tuple):
        for a, b in zip(got, wanted, strict=True):
            same(a, b)
    elif wanted is not None:
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def attention(seed=0, **options):
    torch.manual_seed(seed)
    module = nn.MultiheadAttention(8, 2, **options).eval()
    for name in ("in_proj_bias", "bias"):
        bias = getattr(module if name == "in_proj_bias" else module.out_proj, name)
        if bias is not None:
            nn.init.normal_(bias)
    return module


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"kdim": 5, "vdim": 6}])
@pytest.mark.parametrize(("extra", "zero"), [(False, False), (True, False), (False, True), (True, True)])
@torch.no_grad()
def test_multi_head_attention_with_every_option(batch_first, bias, sizes, extra, zero):
    module = attention(batch_first=batch_first, bias=bias, add_bias_kv=extra, add_zero_attn=zero, **sizes)
    own = opened(module)
    assert isinstance(own, OpenAttention)
    q, k, v = torch.randn(3, 4, 8), torch.randn(3, 6, sizes.get("kdim", 8)), torch.randn(3, 6, sizes.get("vdim", 8))
    hidden, padding = torch.rand(6, 4, 6) > 0.7, torch.rand(3, 6) > 0.7
    hidden[..., 0], padding[:, 0] = False, False
    for mask, pad in [
        (None, None), (hidden[0], None), (hidden, padding), (hidden.float(), padding.float()), (None, padding),
        (hidden[0].float() * -2, None), (None, padding.float() * -3),
    ]:  # fmt: skip
        for need, average in [(True, True), (True, False), (False, True)]:
            arguments = {
                "attn_mask": mask, "key_padding_mask": pad, "need_weights": need, "average_attn_weights": average
            }  # fmt: skip
            batch = [x if batch_first else x.transpose(0, 1) for x in (q, k, v)]
            same(own(*batch, **arguments), module(*batch, **arguments))
            if pad is not None:
                arguments["key_padding_mask"] = pad[1]
            if mask is not None and mask.dim() == 3:
                arguments["attn_mask"] = mask[2:4]
            same(own(q[1], k[1], v[1], **arguments), module(q[1], k[1], v[1], **arguments))


@torch.no_grad()
def test_hint_of_a_causal_mask():
    module, x = attention(batch_first=True), torch.randn(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    arguments = {"attn_mask": mask, "is_causal": True, "need_weights": False}
    same(opened(module)(x, x, x, **arguments), module(x, x, x, **arguments))


@torch.no_grad()
def test_queries_that_may_see_nothing_give_zero_and_no_nan():
    module, x = attention(batch_first=True, bias=False), torch.randn(1, 3, 8)
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[1] = True
    out, weights = opened(module)(x, x, x, attn_mask=mask)
    assert out.isfinite().all()
    assert not out[0, 1].any()
    assert not weights[0, 1].any()


def test_dropout_acts_in_training_only():
    module = attention(batch_first=True, dropout=0.5)
    own, x = opened(module), torch.randn(2, 5, 8)
    same(own(x, x, x), module(x, x, x))
    own.train()
    torch.manual_seed(0)
    _, weights = own(x, x, x, average_attn_weights=False)
    assert 0.2 < float((weights == 0).float().mean()) < 0.8
    kept = weights[weights > 0]
    torch.testing.assert_close(kept, (2 * own.eval()(x, x, x, average_attn_weights=False)[1])[weights > 0])


def test_gradients_reach_every_weight():
    own, x = opened(attention(add_bias_kv=True)), torch.randn(4, 2, 8)
    own(x, x, x)[0].square().sum().backward()
    assert all(p.grad is not None for p in own.parameters())


SDPA = {
    "plain": {},
    "bool mask": {"attn_mask": torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) > 0.3},
    "float mask": {"attn_mask": torch.randn(2, 1, 5, 7, generator=torch.Generator().manual_seed(0))},
    "causal": {"is_causal": True},
    "scale": {"scale": 0.2},
    "groups": {"enable_gqa": True},
}


@pytest.mark.parametrize("kind", SDPA)
def test_functional_attention_with_every_option(kind):
    torch.manual_seed(1)
    heads = 2 if kind == "groups" else 6
    q, k, v = torch.randn(2, 6, 5, 8), torch.randn(2, heads, 7, 8), torch.randn(2, heads, 7, 3)
    lowering, asked = LOWERINGS[F.scaled_dot_product_attention], []

    def parts(name):
        asked.append(name)
        return torch.matmul

    got = lowering(parts, (q, k, v), dict(SDPA[kind]))
    same(got, F.scaled_dot_product_attention(q, k, v, **SDPA[kind]))
    assert asked == ["scores", "values"]
    got = lowering(parts, (q, k, v), {**SDPA[kind], "dropout_p": 1.0})
    assert not got.any()


def test_names_order_and_work_of_sites():
    model = nn.Sequential(Self(attention(batch_first=True)))
    sites = find_sites(model, torch.randn(1, 5, 8))
    assert [s.name for s in sites] == [f"0.inner.{part}" for part in PARTS]
    assert [s.op.macs for s in sites] == [5 * 8 * 8] * 3 + [5 * 5 * 8] * 2 + [5 * 8 * 8]
    assert [s.op.kind for s in sites] == ["linear"] * 3 + ["matmul"] * 2 + ["linear"]
    assert [Slot.STRUCTURE in s.slots for s in sites] == [True] * 3 + [False] * 2 + [True]
    scores = sites[3].op
    assert (scores.groups, scores.rows, scores.reduction, scores.columns) == (2, 5, 4, 5)
    assert not any(s.functional for s in sites)


class Self(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


class Narrow(nn.MultiheadAttention):
    """A subclass with a forward method of its own that calls the original."""

    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class Direct(nn.Module):
    """Calls the function with weights of its own."""

    def __init__(self, separate):
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, kdim=8, vdim=7 if separate else 8)
        self.separate = separate

    def forward(self, x):
        a, x = self.inner, x.transpose(0, 1)
        options = {}
        if self.separate:
            options = {
                "use_separate_proj_weight": True, "q_proj_weight": a.q_proj_weight, "k_proj_weight": a.k_proj_weight,
                "v_proj_weight": a.v_proj_weight,
            }  # fmt: skip
        v = x[..., :7] if self.separate else x
        return F.multi_head_attention_forward(
            x, x, v, 8, 2, a.in_proj_weight, a.in_proj_bias, None, None, False, 0.0, a.out_proj.weight,
            a.out_proj.bias, training=False, need_weights=True, **options,
        )[0].transpose(0, 1)  # fmt: skip


def test_the_function_called_directly_has_the_same_parts():
    x = torch.randn(1, 5, 8)
    for model, path in [(Narrow(8, 2, batch_first=True).eval(), ""), (Direct(False), ""), (Direct(True), "")]:
        # the inner module of Direct is only a store of weights, which opening would take away
        sites = find_sites(model, x, exact=("inner",) if isinstance(model, Direct) else ())
        assert [s.name for s in sites] == [f"{path}:multi_head_attention_forward#0.{part}" for part in PARTS]
        assert {s.op.kind for s in sites} == {"matmul"}


@pytest.mark.parametrize(("bias", "masked", "need"), list(itertools.product([True, False], repeat=3)))
@torch.no_grad()
def test_lowered_function_equals_torch(bias, masked, need):
    module = attention(bias=bias, add_bias_kv=True, add_zero_attn=True)
    x = torch.randn(5, 3, 8)
    padding = torch.rand(3, 5) > 0.6 if masked else None
    arguments = (
        x, x, x, 8, 2, module.in_proj_weight, module.in_proj_bias, module.bias_k, module.bias_v, True, 0.3,
        module.out_proj.weight, module.out_proj.bias,
    )  # fmt: skip
    options = {"training": False, "key_padding_mask": padding, "need_weights": need}
    lowering = LOWERINGS[F.multi_head_attention_forward]
    wanted = F.multi_head_attention_forward(*arguments, **options)
    same(lowering(lambda _: torch.matmul, arguments, options), wanted)
    single = (*(y[:, 1] for y in arguments[:3]), *arguments[3:])
    options["key_padding_mask"] = None if padding is None else padding[1]
    same(lowering(lambda _: torch.matmul, single, options), F.multi_head_attention_forward(*single, **options))


def encoder(layers=2, **options):
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, **options)
    return nn.TransformerEncoder(layer, layers).eval()


@torch.no_grad()
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True", "ignore:The PyTorch API of nested tensors")
def test_encoders_equal_torch(norm_first):
    model, x = encoder(norm_first=norm_first), torch.randn(3, 5, 8)
    own = opened(model)
    same(own(x), model(x))
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    same(own(x, mask=mask, is_causal=True), model(x, mask=mask, is_causal=True))
    padding = torch.arange(5)[None] >= torch.tensor([5, 3, 4])[:, None]
    for mask in (padding, padding.flip(1), torch.zeros(3, 5).masked_fill(padding, -torch.inf)):
        same(own(x, src_key_padding_mask=mask), model(x, src_key_padding_mask=mask))
    assert norm_first or not own(x, src_key_padding_mask=padding)[padding].any()


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_whole_transformers_equal_torch():
    torch.manual_seed(0)
    model = nn.Transformer(8, 2, 1, 2, 12, batch_first=True).eval()
    source, target = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    same(opened(model)(source, target, tgt_mask=mask), model(source, target, tgt_mask=mask))


def forbid_fused(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a fused kernel ran that calls no submodule")

    for name in FUSED:
        monkeypatch.setattr(torch, name, refuse)


@torch.no_grad()
@pytest.mark.parametrize("how", ["opened", "copied", "pickled", "exact attention", "subclass"])
def test_no_fused_path_is_taken(monkeypatch, how):
    """The model is in evaluation mode without gradients and hooks, where torch would take all of its fused paths."""
    model, x = encoder(), torch.randn(2, 5, 8)
    if how == "subclass":
        for layer in model.layers:
            layer.self_attn.__class__ = type("Renamed", (nn.MultiheadAttention,), {})
    exact = ("layers.*.self_attn",) if how == "exact attention" else ()
    own = prepare(Padded(model), x[:1], exact=tuple(f"inner.{e}" for e in exact)).model
    own = copy.deepcopy(own) if how == "copied" else pickle.loads(pickle.dumps(own)) if how == "pickled" else own
    calls = []
    for name in ("linear1", "linear2"):
        own.inner.layers[1].get_submodule(name).register_forward_hook(lambda *_: calls.append(1))
    assert torch.backends.mha.get_fastpath_enabled()
    if how != "exact attention":
        forbid_fused(monkeypatch)
    else:
        monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", None)
    assert own(x).isfinite().all()
    assert len(calls) == 2


class Padded(nn.Module):
    """Gives a padding mask, for which an encoder turns to nested tensors."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        padding = torch.arange(x.shape[1], device=x.device) >= x.shape[1] - 1
        return self.inner(x, src_key_padding_mask=padding.expand(len(x), -1))[:, 0]


def test_torch_would_have_taken_the_fused_paths(monkeypatch):
    """The paths that the tests above forbid are those that the installed torch really takes."""
    model, x = encoder(), torch.randn(2, 5, 8)
    forbid_fused(monkeypatch)
    with torch.no_grad():
        with pytest.raises(AssertionError, match="a fused kernel"):
            model(x)
        with pytest.raises(AssertionError, match="a fused kernel"):
            model.layers[0].self_attn(x, x, x)


def test_tracing_sees_through_fused_paths():
    model, x = Padded(encoder(1)), torch.randn(1, 5, 8)
    names = [s.name.removeprefix("inner.layers.0.") for s in find_sites(model, x)]
    assert names == [f"self_attn.{part}" for part in PARTS] + ["linear1", "linear2"]


def test_the_model_of_the_user_keeps_its_attention():
    model, x = encoder(1), torch.randn(1, 5, 8)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    find_sites(model, x)
    prepare(model, x)
    assert type(model.layers[0].self_attn) is nn.MultiheadAttention
    assert model.use_nested_tensor
    assert model.layers[0].activation_relu_or_gelu
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
