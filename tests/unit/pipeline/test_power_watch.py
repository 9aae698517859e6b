"""Photos rest on battery and go on by themselves."""

from maclip_daemon.pipeline.pauses import Pauses
from maclip_daemon.pipeline.power_watch import LOOK_S, REASON, PowerWatch


class Machine:
    """A machine whose plug and clock the test moves."""

    def __init__(self) -> None:
        self.on_battery = False
        self.now = 0.0
        self.looks = 0

    def look(self) -> bool:
        self.looks += 1
        return self.on_battery

    def clock(self) -> float:
        return self.now


def test_the_pause_lasts_as_long_as_the_battery_does() -> None:
    machine = Machine()
    pauses = Pauses(1.0, machine.clock)
    watch = PowerWatch(pauses, on_battery=machine.look, clock=machine.clock)
    watch.look()
    assert not pauses.any_of("power")
    machine.on_battery = True
    machine.now += LOOK_S
    watch.look()
    assert pauses.reasons() == {"power": REASON}
    machine.now += LOOK_S - 0.1
    assert pauses.any_of("power"), "not only for the usual time of a pause"
    machine.on_battery = False
    machine.now += LOOK_S
    watch.look()
    assert not pauses.any_of("power")
    assert pauses.reasons() == {}


def test_it_looks_no_more_often_than_it_must() -> None:
    machine = Machine()
    watch = PowerWatch(Pauses(1.0), on_battery=machine.look, clock=machine.clock)
    for _ in range(100):
        watch.look()
        machine.now += LOOK_S / 10
    assert machine.looks == 10
