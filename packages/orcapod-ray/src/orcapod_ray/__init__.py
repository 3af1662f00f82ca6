"""Ray for orcapod: ``RayExecutor`` runs the functions of a pipeline on a cluster."""

from orcapod_ray.executor import RayExecutor

__all__ = ["RayExecutor"]
