"""Whole matrices of parameters that lie in shards (`torch.distributed.tensor.DTensor`).

Muon's update of a matrix needs all of it. A stack of experts that is cut along its first axis has whole
matrices in every shard; any other parameter is gathered.
"""

from __future__ import annotations

from torch import Tensor
from torch.distributed.tensor import DTensor, Shard, distribute_tensor


def local(value: Tensor) -> Tensor:
    """What lies on this process, sharing its memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def is_cut(parameter: Tensor) -> bool:
    """Whether matrices of a parameter lie on several processes."""
    if not isinstance(parameter, DTensor) or parameter.device_mesh.size() == 1:
        return False
    return parameter.ndim != 3 or any(
        not isinstance(placement, Shard) or placement.dim for placement in parameter.placements
    )


def gather(value: Tensor, like: Tensor) -> Tensor:
    """The whole of which every process has such a shard as of `like`; all processes have to call it."""
    assert isinstance(like, DTensor)
    cut = DTensor.from_local(
        value, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return cut.full_tensor()


def cut_as(value: Tensor, like: Tensor) -> Tensor:
    """The own shard of a whole tensor, cut as another one is; every process holds the whole."""
    if not isinstance(like, DTensor):
        return value
    value = value.to(like.device).contiguous()
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
