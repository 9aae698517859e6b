"""All actions of the simulated user, with their weights."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.soak import arrivals, commands, moves, other_programs
from tests.faults.soak.simulated_user import SimulatedUser

Action = Callable[[SimulatedUser], bool]


def weights(crowding: float) -> dict[Action, float]:
    """Return the weight of each action. `crowding`: the number of photos over the intended maximum."""
    arriving, leaving = max(0.0, 2 - crowding), crowding
    return {
        arrivals.copy_whole: 5 * arriving,
        arrivals.copy_in_pieces: 4 * arriving,
        arrivals.arrive_by_rename: 4 * arriving,
        arrivals.arrive_as_a_tree: 1 * arriving,
        arrivals.arrive_as_a_pair: 1 * arriving,
        arrivals.duplicate: 2,
        arrivals.link: 0.5,
        arrivals.touch: 0.5,
        arrivals.edit_pixels_in_place: 3,
        arrivals.edit_pixels_by_rename: 3,
        other_programs.rate_in_the_sidecar: 4,
        other_programs.rate_in_the_file: 2,
        other_programs.label_in_the_sidecar: 3,
        moves.rename: 5,
        moves.rename_over_another: 1,
        moves.rename_by_case: 0.5,
        moves.swap: 0.5,
        moves.move_a_folder: 2,
        moves.make_a_folder: 1,
        moves.delete: 3 * leaving,
        moves.delete_a_folder: 0.3 * leaving,
        moves.delete_a_sidecar: 1,
        moves.move_out: 1.5,
        moves.move_back: 2,
        commands.rate_again: 0.2,
        commands.undo_a_photo: 0.4,
        commands.purge: 0.1,
        commands.retry: 0.1,
    }
