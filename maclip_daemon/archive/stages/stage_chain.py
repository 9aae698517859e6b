"""The stages of a bulk run, one behind the other, as Ray Data runs them."""

from __future__ import annotations

from typing import Any

from maclip_daemon import __version__
from maclip_daemon.archive.cluster import WRITER_CPUS, Cluster
from maclip_daemon.archive.planning.work_plan import WorkPlan
from maclip_daemon.archive.stages.archive_job import ArchiveJob
from maclip_daemon.archive.stages.result_parts import WriteStage

Stages = tuple[type[Any], type[Any]]
"""Decodes, and scores."""


def chained(plan: WorkPlan, job: ArchiveJob, cluster: Cluster, stages: Stages) -> Any:
    """Return the data set of Ray whose rows are the counts of written photos."""
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    decode, score = stages
    context = DataContext.get_current()
    context.target_max_block_size = job.archive.pixels_mib << 20
    chunks = [{"plan": file, "group": group} for file, group in plan.chunks]
    work: Any = ray.data.from_items(chunks, override_num_blocks=len(chunks))
    work = work.map_batches(
        decode,
        fn_constructor_args=(job,),
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=min(cluster.decoders, len(chunks))),
        **cluster.decoder_resources,
    )
    work = work.map_batches(
        score,
        fn_constructor_args=(job, __version__, cluster.cores_per_model),
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=min(cluster.models, len(chunks))),
        **cluster.model_resources,
    )
    return work.map_batches(
        WriteStage,
        fn_constructor_args=(job,),
        batch_size=job.archive.rows_per_file,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=min(cluster.models, len(chunks))),
        num_cpus=WRITER_CPUS,
    )
