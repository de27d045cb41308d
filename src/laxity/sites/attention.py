"""Attention: `scaled_dot_product_attention`, `nn.MultiheadAttention` and the encoder modules that bypass it.

In evaluation mode `nn.MultiheadAttention`, `nn.TransformerEncoderLayer` and `nn.TransformerEncoder` may run fused
kernels that call none of their submodules. Opened attention has no packed projection, which is the condition on which
an encoder layer gives them up; the encoder modules are told so as well, each by the attribute that it asks. Both are
properties of the modules and go with them into copies and pickles.

Sources: A. Vaswani et al., Attention Is All You Need (NeurIPS 2017), section 3.2; the documentation of torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.errors import DataError
from laxity.sites.composites import composite, linear_of
from laxity.sites.contraction import Multiply, NotLowered
from laxity.sites.layers import Product
from laxity.sites.lowering import Parts, lower

Project = Callable[[Tensor], Tensor]


def attend(
    scores: Multiply, values: Multiply, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, drop: float
) -> tuple[Tensor, Tensor]:
    """Both products of attention with the softmax between them.

    Args:
        scores: multiplies queries by transposed keys.
        values: multiplies probabilities by values.
        q: (..., L, E).
        k: (..., S, E).
        v: (..., S, Ev).
        mask: added to the scaled scores, or None; rows that are minus infinity everywhere attend to nothing.
        scale: of the scores.
        drop: probability of dropout of the probabilities.

    Returns:
        (..., L, Ev) and the probabilities (..., L, S).
    """
    logits = scores(q, k.transpose(-2, -1)) * scale
    if mask is None:
        weights = torch.softmax(logits, -1)
    else:
        logits = logits + mask
        nothing = (logits == -math.inf).all(-1, keepdim=True)
        weights = torch.softmax(logits.masked_fill(nothing, 0.0), -1).masked_fill(nothing, 0.0)
    if drop > 0:
        weights = F.dropout(weights, drop)
    return values(weights, v), weights


@lower("scaled_dot_product_attention", F.scaled_dot_product_attention)
def _scaled_dot_product_attention(
    parts: Parts,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    mask = None if attn_mask is None else additive(attn_mask, query.dtype, hides=False)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return attend(parts("scores"), parts("values"), query, key, value, mask, factor, dropout_p)[0]


def additive(mask: Tensor, dtype: torch.dtype, *, hides: bool) -> Tensor:
    """A mask to add to scores; in a bool mask, True means that a position is hidden, or else that it takes part."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill(mask if hides else ~mask, -math.inf)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """From (N, L, E) to (N, heads, L, E / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def masks_of(
    attention: Tensor | None, padding: Tensor | None, queries: Tensor, extra: int, dtype: torch.dtype
) -> Tensor | None:
    """Both masks of multi-head attention as one to add to (N, heads, L, S + extra) scores; extra keys are seen by all.

    Args:
        attention: bool or float (L, S) or (N * heads, L, S).
        padding: bool or float (N, S).
        queries: (N, heads, L, ...).
        extra: keys that stand behind those that the masks know.
        dtype: of the result.
    """
    mask = None if attention is None else additive(attention, dtype, hides=True)
    if mask is not None and mask.dim() == 3:
        mask = mask.unflatten(0, (queries.shape[0], queries.shape[1]))
    if padding is not None:
        hidden = additive(padding, dtype, hides=True)[:, None, None, :]
        mask = hidden if mask is None else mask + hidden
    return mask if mask is None or not extra else F.pad(mask, (0, extra))


class OpenAttention(nn.Module):
    """`nn.MultiheadAttention` as four linear layers and two products, with the same arguments and results.

    Where a query may attend to nothing the result is zero, for which torch gives NaN in some of its ways.
    """

    rigid = True
    in_proj_weight = None
    in_proj_bias = None
    _qkv_same_embed_dim = False

    def __init__(self, source: nn.MultiheadAttention) -> None:
        super().__init__()
        self.embed_dim, self.kdim, self.vdim = source.embed_dim, source.kdim, source.vdim
        self.num_heads, self.head_dim = source.num_heads, source.head_dim
        self.batch_first, self.dropout, self.add_zero_attn = source.batch_first, source.dropout, source.add_zero_attn
        packed: Tensor | None = source.in_proj_weight
        separate = (source.q_proj_weight, source.k_proj_weight, source.v_proj_weight)
        weights = separate if packed is None else packed.chunk(3)
        biases = (None,) * 3 if source.in_proj_bias is None else source.in_proj_bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = (
            linear_of(w.clone(), None if b is None else b.clone()) for w, b in zip(weights, biases, strict=True)
        )
        self.scores, self.values = Product(), Product()
        self.out_proj = linear_of(source.out_proj.weight, source.out_proj.bias)
        self.bias_k, self.bias_v = source.bias_k, source.bias_v

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention.forward`; `is_causal` is a hint about the mask given and changes nothing.

        Raises:
            DataError: the hint comes without a mask.
        """
        if is_causal and attn_mask is None:
            raise DataError("is_causal is a hint about the attn_mask of an attention layer, which is missing; give it")
        single = query.dim() == 2
        if single:
            query, key, value = query[None], key[None], value[None]
            key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        mixed, weights = _multi_head(
            self.scores,
            self.values,
            (self.q_proj(query), self.k_proj(key), self.v_proj(value)),
            self.num_heads,
            (self.bias_k, self.bias_v),
            self.add_zero_attn,
            (attn_mask, key_padding_mask),
            self.dropout if self.training else 0.0,
        )
        out = self.out_proj(mixed)
        shown = (weights.mean(1) if average_attn_weights else weights) if need_weights else None
        if single:
            return out[0], None if shown is None else shown[0]
        return out if self.batch_first else out.transpose(0, 1), shown


def _multi_head(
    scores: Multiply,
    values: Multiply,
    projected: tuple[Tensor, Tensor, Tensor],
    heads: int,
    biases: tuple[Tensor | None, Tensor | None],
    zero: bool,
    masks: tuple[Tensor | None, Tensor | None],
    drop: float,
) -> tuple[Tensor, Tensor]:
    """From projected (N, L or S, E) to mixed values (N, L, E) and probabilities (N, heads, L, S + extra)."""
    q, k, v = projected
    extra = 0
    if biases[0] is not None and biases[1] is not None:
        k = torch.cat([k, biases[0].expand(len(k), 1, -1)], 1)
        v = torch.cat([v, biases[1].expand(len(v), 1, -1)], 1)
        extra += 1
    q, k, v = (split_heads(x, heads) for x in (q, k, v))
    if zero:
        k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        extra += 1
    mask = masks_of(*masks, q, extra, q.dtype)
    mixed, weights = attend(scores, values, q, k, v, mask, 1 / math.sqrt(q.shape[-1]), drop)
    return mixed.transpose(1, 2).flatten(2), weights


@composite("attention", nn.MultiheadAttention)
def _open_attention(module: nn.MultiheadAttention) -> nn.Module:
    return OpenAttention(module)


@composite("encoder-layer", nn.TransformerEncoderLayer, subclasses=True)
def _open_encoder_layer(module: nn.TransformerEncoderLayer) -> nn.Module:
    """The fused layer is for ReLU and GELU only, as this number tells; the layer itself asks `activation`."""
    module.activation_relu_or_gelu = 0
    return module


@composite("encoder", nn.TransformerEncoder, subclasses=True)
def _open_encoder(module: nn.TransformerEncoder) -> nn.Module:
    """Nested tensors leave zeros where a padding mask hides positions, which the last layer then does instead."""
    if module.use_nested_tensor:
        module.use_nested_tensor = False
        module.layers[-1].register_forward_hook(_zero_padding, with_kwargs=True)
    return module


def _zero_padding(layer: nn.Module, _: Any, arguments: dict[str, Any], output: Tensor) -> Tensor:
    """Set hidden positions to zero where `nn.TransformerEncoder` does: if all stand at the ends of their samples."""
    padding = arguments.get("src_key_padding_mask")
    if padding is None or arguments.get("src_mask") is not None or layer.training or output.dim() != 3:
        return output
    hidden = padding == -math.inf
    behind = (hidden[:, 1:] >= hidden[:, :-1]).all()
    return output.masked_fill((hidden & behind)[..., None], 0.0)


@lower("multi_head_attention_forward", F.multi_head_attention_forward)
def _multi_head_attention_forward(  # noqa: PLR0917 (torch's own signature)
    parts: Parts,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Called directly, its weights are operands like any others, so that all six parts are matrix products."""
    if static_k is not None or static_v is not None:
        raise NotLowered("multi_head_attention_forward with static keys or values")
    packed = None if in_proj_weight is None else in_proj_weight.chunk(3)
    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight or packed is None else packed
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    single = query.dim() == 2
    inputs = [x[None] if single else x.transpose(0, 1) for x in (query, key, value)]
    q, k, v = (
        _project(parts(name), x, w, b)
        for name, x, w, b in zip(("q_proj", "k_proj", "v_proj"), inputs, weights, biases, strict=True)
    )
    padding = key_padding_mask[None] if single and key_padding_mask is not None else key_padding_mask
    drop = dropout_p if training else 0.0
    mixed, probabilities = _multi_head(
        parts("scores"),
        parts("values"),
        (q, k, v),
        num_heads,
        (bias_k, bias_v),
        add_zero_attn,
        (attn_mask, padding),
        drop,
    )
    out = _project(parts("out_proj"), mixed, out_proj_weight, out_proj_bias)
    shown = (probabilities.mean(1) if average_attn_weights else probabilities) if need_weights else None
    if single:
        return out[0], None if shown is None else shown[0]
    return out.transpose(0, 1), shown


def _project(multiply: Multiply, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    assert weight is not None  # torch has run the call
    product = multiply(x, weight.t())
    return product if bias is None else product + bias
