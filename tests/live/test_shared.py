"""state: Shared. When both sides get worse than they were before a step, the new side may harm what both use: the step is taken
back. What the new side fails alone still sends all users back, before and after."""

import contextlib
import os
import re
import signal
import time

import rig
from crossing_rig import Load, Service, standing_alone, within

USERS = 400  # of which a tenth is never too few for the guard by chance
STEPS = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]


@contextlib.contextmanager
def at_half(directory, name):
    """A service that has come to 50 %, with a step of 1,000 good answers of the old side behind it."""
    with standing_alone(directory) as up:
        s = Service(up, name).migrate(STEPS)
        rig.wait_for(lambda: rig.ask(up.port, host=f"{name}.test").status == 200, 10, f"{name} to be served")
        with Load(up.port, f"{name}.test", USERS, rate=300) as load:
            s.wait_in_force(10)
            first = load.cohort(users=USERS)
            assert within(len(first), USERS, 0.1)
            s.wait(lambda st: st["requests"]["old"] > 1300, 20, "the old side's record")
            assert s.say("promote")["result"] == "Done"
            s.wait_in_force(50)
            assert first < load.cohort(users=USERS)
            s.first = first
            yield up, s, load
        assert not load.lost()
        s.close()


class Strain:
    """A database of both sides that fails while users beyond the first step are on the new side: until six requests have come
    without one of theirs. (Two in five of the requests are theirs; a span of time would mean fewer on a busy machine.)"""

    def __init__(self, s):
        self.first, self.since = s.first, 6
        s.old.fails, s.new.fails = self.old, self.new

    def old(self, head):
        self.since += 1
        return self.since <= 6

    def new(self, head):
        if int(re.search(rb"sid=user-(\d+)", head)[1]) not in self.first:
            self.since = 0
        return self.old(head)


@contextlib.contextmanager
def stopped(pid):
    """Alive, but dead to the world."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_harm_to_both_sides_takes_the_steps_back_one_by_one(tmp_path):
    with at_half(tmp_path, "harm") as (up, s, load):
        s.old.break_(status=500)
        s.new.break_(status=500)
        # It goes on when the step is taken back: so does the way back.
        status = s.wait(lambda st: st["phase"] == "RolledBack", 15, "the first step to be taken back as well")
        s.old.break_()
        s.new.break_()
        assert status["weight"] == 0 and status["epoch"] == 2
        assert status["verdict"]["cause"] == "Shared" and status["verdict"]["epoch"] == 2
        back = up.events("StepTakenBack")
        assert len(back) == 1 and "10 %" in back[0]["message"], back
        assert not load.cohort(users=USERS)
        assert s.say("resume")["result"] == "Done"
        assert s.wait_in_force(10)["epoch"] == 3
        assert load.cohort(users=USERS) == s.first


def test_errors_after_a_step_taken_back_send_all_users_back(tmp_path):
    with at_half(tmp_path, "after") as (up, s, load):
        Strain(s)
        status = s.wait(lambda st: st["epoch"] == 2, 10, "the step to be taken back")
        assert status["phase"] == "Paused" and status["held"] and status["weight"] == 10
        assert status["verdict"]["cause"] == "Shared"
        assert "step taken back to 10 %" in status["message"]
        rig.wait_for(lambda: load.cohort(users=USERS) == s.first, 8, "users of the step to be back")
        s.new.break_(status=500)
        status = s.wait(lambda st: st["phase"] == "RolledBack", 8, "a rollback")
        assert status["verdict"]["cause"] == "Errors" and status["verdict"]["epoch"] == 2
        s.new.break_()


def test_without_control_a_proxy_takes_the_step_back_by_itself(tmp_path):
    with at_half(tmp_path, "alone") as (up, s, load):
        with stopped(up.pid("control")):
            Strain(s)
            rig.wait_for(lambda: load.cohort(users=USERS) == s.first, 12, "users of the step to be back")
            # The same attempt, still without control: a verdict on the new side alone outranks it.
            s.new.break_(status=500)
            rig.wait_for(lambda: not load.cohort(users=USERS), 20, "all users to be back")
            s.new.break_()
            answered = s.new.answered
        status = s.wait(lambda st: st["phase"] == "RolledBack", 20, "control to absorb it")
        # Control may have read the first verdict alone, from a report that was on its way: then an attempt later.
        assert status["verdict"]["cause"] == "Errors" and status["epoch"] in (1, 2) and status["weight"] == 0
        time.sleep(0.5)  # shows that nothing is sent
        assert s.new.answered == answered
