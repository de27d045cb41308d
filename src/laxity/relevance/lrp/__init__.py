"""Layer-wise relevance propagation: a walk back through the exported graph, one small rule per kind of node."""

from laxity.relevance.lrp.criterion import LayerwiseRelevance
from laxity.relevance.lrp.graph import Graph, export
from laxity.relevance.lrp.method import Flow, Method
from laxity.relevance.lrp.step import RULES, Rule, Step, rule
from laxity.relevance.lrp.walk import Propagation, propagate

__all__ = [
    "RULES",
    "Flow",
    "Graph",
    "LayerwiseRelevance",
    "Method",
    "Propagation",
    "Rule",
    "Step",
    "export",
    "propagate",
    "rule",
]
