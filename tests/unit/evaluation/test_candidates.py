from maclip_daemon.evaluation.candidates import LAMBDAS, ablations
from maclip_daemon.iqa import metrics


def test_every_part_of_maclip_is_taken_out_once() -> None:
    by_name = {judgement.name: judgement.metric for judgement in ablations()}
    published = metrics.maclip()
    assert by_name["q_sim alone"].combine == "similarity"
    assert by_name["q_mag alone"] == metrics.magnitude()
    assert by_name["raw magnitude ‖f‖ alone"] is None
    assert by_name["fused, no Box-Cox"].box_cox_lambda == 1
    mean = by_name["plain mean of both cues"]
    assert (mean.alpha, mean.base_similarity) == (0, mean.base_magnitude)
    assert by_name["fixed weights (α = 0)"] == metrics.maclip(alpha=0.0)
    assert by_name["symmetric bases (1.0, 1.0)"].base_magnitude == published.base_similarity
    assert [by_name[f"λ = {value:g}"].box_cox_lambda for value in LAMBDAS] == [0.3, 0.4, 0.6, 0.7]


def test_ablations_share_the_views_of_maclip_and_never_its_key() -> None:
    keys = {judgement.key for judgement in ablations()}
    assert len(keys) == len(ablations())
    assert {judgement.views for judgement in ablations()} == {"crops"}
    assert all(judgement.ablation for judgement in ablations())
