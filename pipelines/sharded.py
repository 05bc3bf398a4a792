"""The strategies `fsdp2` and `fsdp2_expert_parallel`: weights, gradients and optimizer state in shards.

Every unit that a component declares (`Component.units`) is gathered when it is run and dropped after it; all
other parameters are the root's, gathered once a step. A checkpoint is one file of whole tensors, the same as
that of one process, so either goes on from the other's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.utils._pytree import tree_map

from vlmloom.components.contracts.component import Component
from vlmloom.components.contracts.frozen import Frozen
from vlmloom.components.optimizer.shards import cut_as, local
from vlmloom.pipelines import ranks
from vlmloom.pipelines.checkpoints import load_checkpoint
from vlmloom.pipelines.deferred import FIRST, materialise
from vlmloom.registry.errors import UserError

NAME, WITH_EXPERTS = "fsdp2", "fsdp2_expert_parallel"
"""What `trainer.strategy` calls them."""


class FSDP2(ModelParallelStrategy):
    """Lightning's model parallelism over one axis of processes, with checkpoints of whole tensors.

    Args:
        expert_parallel: whether tokens travel to the processes that hold their experts; else the experts of a
            block travel to all processes, as its other weights do.
        options: of `ModelParallelStrategy`, such as `process_group_backend` and `timeout`.
    """

    def __init__(self, *, expert_parallel: bool = False, **options: Any) -> None:
        super().__init__(**(options | {"save_distributed_checkpoint": False}))
        self.expert_parallel = expert_parallel

    @property
    def lightning_restore_optimizer(self) -> bool:
        """See `Strategy`."""
        return True

    def setup_environment(self) -> None:
        """See `Strategy`: all processes are on one axis."""
        self._data_parallel_size, self._tensor_parallel_size = self.num_nodes * self.num_processes, 1
        super().setup_environment()

    def model_to_device(self) -> None:
        """See `Strategy`; what is moved is made anew."""
        assert self.lightning_module is not None
        with attributes_kept(self.lightning_module):
            super().model_to_device()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole state on the first process, nothing on the others."""
        assert self.lightning_module is not None
        return whole_state(self.lightning_module)

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The whole state on the first process, nothing on the others."""
        plain = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer

        def gather(value: Any) -> Any:
            found = whole(value)
            return (found.cpu() if isinstance(found, Tensor) else found) if self.is_global_zero else None

        gathered = tree_map(gather, plain.state_dict())
        return gathered if self.is_global_zero else {}

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Map the file, on every process; of its tensors, each reads one after another to take its shard."""
        return load_checkpoint(Path(self.broadcast(checkpoint_path)), mapped=True)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take the own shards of whole tensors."""
        module = self.lightning_module
        assert module is not None
        own, state = module.state_dict(), checkpoint["state_dict"]
        cut = {name: cut_as(value, own[name]) if name in own else value for name, value in state.items()}
        module.load_state_dict(cut, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take the own shards of whole tensors."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [one for group in optimizer.param_groups for one in group["params"]]
            numbers = [number for group in state["param_groups"] for number in group["params"]]
            cut = {
                number: {
                    key: cut_as(value, parameter) if isinstance(value, Tensor) and value.ndim else value
                    for key, value in state["state"][number].items()
                }
                for number, parameter in zip(numbers, parameters, strict=True)
                if number in state["state"]
            }
            optimizer.load_state_dict({**state, "state": cut})


SHARDS = "weights, gradients and optimizer state in shards (FSDP2)"
StrategyRegistry.register(NAME, FSDP2, description=SHARDS)
StrategyRegistry.register(
    WITH_EXPERTS, FSDP2, description=f"{SHARDS}, whole experts on each process", expert_parallel=True
)


def whole(value: Any) -> Any:
    """A sharded tensor with all of its shards; anything else as it is. All processes have to call it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def sharded_copy(model: Component, objective: nn.Module) -> Component:
    """A copy that can be sharded while the model itself stays whole.

    What is only referred to, such as the frozen trunk that an objective holds, is not copied.
    """
    held = [
        one for module in objective.modules() if isinstance(module, Frozen) for one in module.modules_held()
    ]
    twin = copy.deepcopy(model, {id(one): one for one in held})
    for parameter, origin in zip(twin.parameters(), model.parameters(), strict=True):
        # A copied parameter has lost its attributes; what lies channels last cannot be cut.
        vars(parameter).update(vars(origin))
        parameter.data = parameter.detach().contiguous()
    return twin


def shard(root: LightningModule, mesh: DeviceMesh, expert_parallel: bool = False) -> None:
    """Shard the units of all components below a root, then what is left as the root's own.

    What has no memory yet is given its first values unit by unit, so that one unit at a time is whole.

    Args:
        root: whose `forward` is the whole step; parameters of its own are gathered from there to its end.
        mesh: of one axis.
        expert_parallel: first share out the experts, whose weights are gathered nowhere.

    Raises:
        UserError: there are no experts to share out, or they cannot be.
    """
    with attributes_kept(root):
        placed = place_experts(root, mesh) if expert_parallel else []
        # A scalar has no axis to cut.
        scalars = [parameter for parameter in root.parameters() if not parameter.ndim]
        kept = {*placed, *scalars}
        for part in list(root.modules()):
            for unit in part.units() if isinstance(part, Component) else []:
                if not isinstance(unit, FSDPModule):
                    materialise(unit)
                    fully_shard(unit, mesh=mesh, ignored_params=kept)
        materialise(root)
        fully_shard(root, mesh=mesh, ignored_params=kept)
    for scalar in scalars:
        if scalar.requires_grad:
            scalar.register_hook(lambda gradient: mean(gradient, mesh))


def place_experts(root: nn.Module, mesh: DeviceMesh) -> list[nn.Parameter]:
    """The parameters of all experts below a root, cut between experts.

    Raises:
        UserError: there are none, or they cannot be shared out.
    """
    placed: list[nn.Parameter] = []
    for name, module in root.named_modules():
        place = getattr(module, "place", None)
        if place is not None:
            materialise(module)
            try:
                placed += place(mesh)
            except ValueError as fault:
                raise UserError(f"trainer.strategy: {WITH_EXPERTS}: {name}: {fault}") from None
    if not placed:
        raise UserError(f"trainer.strategy: {WITH_EXPERTS}: the model has no experts; {NAME} would be right")
    return placed


@contextmanager
def attributes_kept(module: nn.Module) -> Iterator[None]:
    """Tell parameters that are made anew within what the old ones knew, such as `muon_splits`."""
    told = {
        name: {key: value for key, value in vars(parameter).items() if key != FIRST}
        for name, parameter in module.named_parameters()
    }
    yield
    for name, parameter in module.named_parameters():
        vars(parameter).update(told[name])


def mean(value: Tensor, mesh: DeviceMesh) -> Tensor:
    """The mean over the processes of a mesh."""
    value = value.clone()
    distributed.all_reduce(value, group=mesh.get_group())
    return value / mesh.size()


def whole_state(module: nn.Module) -> dict[str, Any]:
    """The state in whole tensors on the first process, nothing on the others. All processes have to call it.

    What is one tensor under several names stays one.
    """
    found: dict[int, Tensor | None] = {}
    names = {name: id(value) for name, value in module.state_dict(keep_vars=True).items()}
    for name, value in module.state_dict().items():
        if names[name] not in found:
            gathered = whole(value)
            found[names[name]] = gathered.cpu() if ranks.first() else None
    return {name: found[number] for name, number in names.items()} if ranks.first() else {}


@torch.no_grad()
def clip_norm(parameters: Iterable[nn.Parameter], most: float) -> None:
    """`torch.nn.utils.clip_grad_norm_` over gradients of which some are sharded and others are not."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    cut = [local(gradient) for gradient in gradients if isinstance(gradient, DTensor)]
    uncut = [gradient for gradient in gradients if not isinstance(gradient, DTensor)]
    if not gradients:
        return
    square = torch.zeros((), device=gradients[0].device)
    for gradient in cut:
        square += gradient.float().square().sum()
    distributed.all_reduce(square)
    for gradient in uncut:
        square += gradient.float().square().sum()
    factor = (most / (square.sqrt() + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(cast(list[Tensor], [*cut, *uncut]), factor)
