"""Reference networks in plain torch, one file per family, built by name."""

from laxity.models import digits_cnn as _digits_cnn
from laxity.models import lenet as _lenet
from laxity.models import mobilenet as _mobilenet
from laxity.models import recurrent as _recurrent
from laxity.models import resnet8 as _resnet8
from laxity.models import resnet_cifar as _resnet_cifar
from laxity.models import vgg as _vgg
from laxity.models import vit as _vit
from laxity.models.base import Builder, build, build_for, initialised, registry

BUILT_IN = (_digits_cnn, _lenet, _mobilenet, _recurrent, _resnet8, _resnet_cifar, _vgg, _vit)
"""The modules whose import registers the built-in networks."""

__all__ = ["BUILT_IN", "Builder", "build", "build_for", "initialised", "registry"]
