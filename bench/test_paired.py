"""What bench/paired.py says of rounds that are known."""

import unittest

import paired


def runs(*values, key="x"):
    return [{"round": turn, key: value} for turn, value in enumerate(values) if value is not None]


class Paired(unittest.TestCase):
    def test_ratios_are_of_the_same_round(self):
        self.assertEqual(paired.ratios(runs(2, 30, 8), runs(1, 10, None), "x"), [2, 3])

    def test_middle(self):
        got = paired.middle([1.0, 1.1, 1.2, 1.3, 9.0])
        self.assertEqual((got["low"], got["median"], got["high"]), (1.1, 1.2, 1.3))
        self.assertIsNone(paired.middle([1.0]))

    def test_sign_test(self):
        for wins, rounds, p in [(0, 5, 1.0), (5, 5, 1 / 32), (4, 5, 6 / 32), (1, 1, 0.5)]:
            self.assertAlmostEqual(paired.sign_test(wins, rounds), p)

    def test_the_rival_of_the_same_round(self):
        got = paired.at_most(runs(11, 11, 12), runs(10, 100, 10), 1.1, "x")
        self.assertEqual((got["wins"], got["rounds"], got["p"]), (2, 3, 0.5))

    def test_a_round_counts_only_when_both_have_it(self):
        self.assertEqual(paired.at_most(runs(1, 1, 99), runs(10, None, 10), 1.1, "x")["rounds"], 2)
        self.assertIsNone(paired.at_most(runs(1), runs(None), 1.1, "x"))
        self.assertIsNone(paired.at_most(runs(1), [], 1.1, "x"))

    def test_a_negative_figure_leaves_room_too(self):
        self.assertEqual(paired.at_most(runs(-10), runs(-10), 1.1, "x")["wins"], 1)
        self.assertEqual(paired.at_most(runs(-8), runs(-10), 1.1, "x")["wins"], 0)


if __name__ == "__main__":
    unittest.main()
