"""Stuck-at faults of the gates of multipliers and adders: lists, equivalences, simulation, faulty circuits."""

from laxity.circuits.stuck_at.collapse import collapse
from laxity.circuits.stuck_at.expand import expand_adders
from laxity.circuits.stuck_at.fault import Fault, fault_list
from laxity.circuits.stuck_at.study import StuckAtStudy, stuck_at
from laxity.circuits.stuck_at.tied import faulty_circuit

__all__ = ["Fault", "StuckAtStudy", "collapse", "expand_adders", "fault_list", "faulty_circuit", "stuck_at"]
