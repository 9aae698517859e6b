"""Ray: started on this machine, or joined; and how many decoders and models it has room for."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.settings import ArchiveSettings

_DECODER_CPUS = 0.2  # of a core, in Ray's books: decoders and the model share the cores, whoever is behind
_MODEL_SHARE = 0.6  # of its cores, in Ray's books: two models and the decoders fit into a machine
_MODELS = 2  # on a machine without graphics cards: one computes while the other waits for its next batch
_CURE_THERE = "Check the address and that `ray status` answers there"
_CURE_HERE = "Try again when it is less busy; Ray's own reasons are in /tmp/ray/session_latest/logs"
_TOO_LATE = "timed out during startup"
"""Ray gives a machine 30 s for its start, which a busy one needs for programs that are not in memory yet."""
WRITER_CPUS = 0
"""Of a core, in Ray's books: writing waits for storage, and must find room when a machine is lost."""


@dataclass(frozen=True)
class Cluster:
    """The machines of a run."""

    cores: int
    decoders: int
    models: int
    cores_per_model: int
    """Threads of one model; 0: on a graphics card."""
    dashboard: str | None = None
    """The address of Ray's dashboard, where it has one."""
    session: str | None = None
    """The folder of Ray's logs on this machine, where it has one."""

    @property
    def decoder_resources(self) -> dict[str, float]:
        """Return what Ray sets aside for one decoder."""
        return {"num_cpus": _DECODER_CPUS}

    @property
    def model_resources(self) -> dict[str, float]:
        """Return what Ray sets aside for one model."""
        if self.cores_per_model:
            return {"num_cpus": _MODEL_SHARE * self.cores_per_model}
        return {"num_cpus": _DECODER_CPUS, "num_gpus": 1}


@contextmanager
def joined(address: str | None, settings: ArchiveSettings, cores: int, decoders: int) -> Iterator[Cluster]:
    """Start Ray here, or join the cluster at an address; leave it at the end.

    `cores`, `decoders`: of this machine; `decoders` 0: one for each core. Raises `EnvironmentUnfit`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves this machine unasked
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # as `maclip score`; Ray's own is 15, behind everything
    # Ray's newer one leaves a run fewer cores than its actors hold. The model's budget is nothing then: it
    # waits, and the decoders fill Ray's store without end (docs/decisions/0054).
    os.environ.setdefault("RAY_DATA_CLUSTER_AUTOSCALER", "V2")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its remarks are for Ray's own developers
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        with _without_remarks():
            context = _begun_at_last(address, settings, cores)
    except Exception:  # noqa: BLE001 - Ray raises this very class when a busy machine takes over 30 s
        where = f"There is no Ray cluster at {address}" if address else "Ray does not start on this machine"
        cure = _CURE_THERE if address else _CURE_HERE
        raise EnvironmentUnfit(f"{where}. {cure}.") from None
    try:
        _quieten()
        url = context.dashboard_url
        session = getattr(context, "address_info", {}).get("session_dir")  # ray:// has none
        yield dataclasses.replace(
            _sized(settings, decoders), dashboard=f"http://{url}" if url else None, session=session
        )
    finally:
        # It prints once more how often it said what.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
            ray.shutdown()


def _begun_at_last(address: str | None, settings: ArchiveSettings, cores: int) -> Any:
    """Return Ray's context; try a second time where it is started here, and took too long."""
    try:
        return _begun(address, settings, cores)
    except Exception as error:
        if address is not None or _TOO_LATE not in str(error):
            raise
    return _begun(address, settings, cores)


def _begun(address: str | None, settings: ArchiveSettings, cores: int) -> Any:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        return ray.init(address=address, **quiet)
    return ray.init(
        address="local",
        num_cpus=cores,
        object_store_memory=settings.object_store_mib << 20,
        include_dashboard=importlib.util.find_spec("aiohttp_cors") is not None,  # of ray[default]
        **quiet,
    )


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Hide what Ray's native code prints on standard error while it starts."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _quieten() -> None:
    from ray.data import DataContext

    # What ends a run is told in our words; Ray's log files have the rest.
    handlers = [each for name in ("ray.data", "ray") for each in logging.getLogger(name).handlers]
    for handler in handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.CRITICAL)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _sized(settings: ArchiveSettings, decoders: int) -> Cluster:
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = [int(node.get("CPU", 0)) for node in nodes]
    usable = [each for each in cores if each]
    if not usable:
        raise EnvironmentUnfit("Ray's cluster has no processor cores for work. Add nodes, or wait for them.")
    graphics_cards = sum(int(node.get("GPU", 0)) for node in nodes)
    per_model = 0 if graphics_cards else settings.cores_per_model or max(1, min(usable) // _MODELS)
    models = graphics_cards or sum(each // per_model for each in usable)
    if not settings.cores_per_model and not graphics_cards:  # an odd core is left to the decoders
        models = min(models, sum(_MODELS * each // min(usable) for each in usable))
    return Cluster(
        cores=sum(usable),
        decoders=decoders * len(usable) or sum(usable),
        models=max(1, models),
        cores_per_model=per_model,
    )
