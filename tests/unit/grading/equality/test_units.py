"""Values with units, angles and money; answers in words."""

from __future__ import annotations

import time

import pytest

from rlsc.grading.equality.compare import same
from rlsc.types import Verdict
from tests.unit.grading.grading_table import pairs, verdict_of

UNITS = r"""
# a unit that one side leaves out
5 ≡ 5 \text{ cm}
5 ≡ 5\text{ apples}
5\text{ cm} ≡ 5
18 ≡ 18 \text{ years old}
6\pi ≡ 6\pi \text{ cm}
\frac{5}{2} ≡ 2.5 \text{ liters}
18 ≢ 81 \text{ years}
6\pi ≢ 6 \text{ cm}
5 ≢ 5x
5x ≢ 5
5m ≢ 5
5 \text{ m} ≢ 5x
3m ≢ 3n
\frac{37}{4} m ≢ \frac{37}{4}
# one unit in two spellings
5\text{ cm} ≡ 5cm
5\text{ cm} ≡ 5~\mathrm{cm}
12\text{ square inches} ≡ 12\text{ in}^2
12\text{ cm}^2 ≡ 12\ \mathrm{cm^2}
4 \text{ cm}^3 ≡ 4 \text{ cubic centimeters}
60\text{ mph} ≡ 60\text{ miles per hour}
10 \text{ m/s} ≡ 10 \text{ m s}^{-1}
9.8 \text{ m/s}^2 ≡ 9.8\ \mathrm{m\,s^{-2}}
4 \text{ hours} ≡ 4 \text{ hrs}
20^\circ \text{C} ≡ 20^\circ\mathrm{C}
x = 2 \text{ m} ≡ 2 \text{ m}
# another unit, converted
5\text{ cm} ≡ 50 \text{ mm}
5\text{ cm} ≡ 0.05\text{ m}
12\text{ cm}^2 ≡ 0.0012\text{ m}^2
3\text{ hours} ≡ 180\text{ minutes}
4 \text{ days} ≡ 96 \text{ hours}
2\text{ kg} ≡ 2000\text{ g}
10 \text{ m/s} ≡ 36 \text{ km/h}
5 \text{ ft} ≡ 60 \text{ in}
100 \text{ J} ≡ 0.1 \text{ kJ}
# another unit, not converted
5\text{ cm} ≢ 5\text{ m}
5\text{ cm} ≢ 5\text{ mm}
5\text{ cm} ≢ 0.5\text{ m}
5\text{ cm} ≢ 5\text{ kg}
5\text{ cm} ≢ 6\text{ cm}
5\text{ cm} ≢ 5\text{ cm}^2
12\text{ cm}^2 ≢ 120\text{ mm}^2
12\text{ cm}^2 ≢ 12\text{ cm}^3
3\text{ hours} ≢ 3\text{ minutes}
10 \text{ m/s} ≢ 10 \text{ km/h}
2\text{ kg} ≢ 2\text{ g}
4 \text{ cm}^3 ≢ 4 \text{ L}
9.8 \text{ m/s}^2 ≢ 9.8 \text{ m/s}
9.8 \text{ m/s}^2 ≢ 9.8 \text{ cm/s}^2
100 \text{ J} ≢ 100 \text{ kJ}
100 \text{ J} ≢ 100 \text{ W}
3 \text{ N} ≢ 3 \text{ J}
5\ \Omega ≢ 5 \text{ volts}
20^\circ \text{C} ≢ 20^\circ \text{F}
20^\circ \text{C} ≢ -20^\circ \text{C}
# two units
5 \text{ ft } 3 \text{ in} ≢ 5 \text{ ft}
5 \text{ ft } 3 \text{ in} ≢ 5 \text{ ft } 4 \text{ in}
1 \text{ hour } 30 \text{ minutes} ≢ 1 \text{ hour}
1 \text{ hour } 30 \text{ minutes} ≢ 30 \text{ minutes}
7 \text{ R } 2 ≢ 7 \text{ R } 3
7 \text{ remainder } 2 ≢ 7
# angles
30^\circ ≡ 30°
30^\circ ≡ 30
30^\circ ≡ 30 \text{ degrees}
30 ≡ 30^{\circ}
\frac{\pi}{6} ≡ \frac{\pi}{6} \text{ radians}
2.5 \text{ rad} ≡ 2.5
\angle ABC = 40^\circ ≡ 40^\circ
30^\circ ≢ 30 \text{ radians}
30^\circ ≢ 30 \text{ rad}
30^\circ ≢ 60^\circ
30^\circ ≢ -30^\circ
\frac{\pi}{6} ≢ 30
\frac{\pi}{6} ≢ \frac{\pi}{6}^\circ
\frac{\pi}{6} ≢ \frac{\pi}{6} \text{ degrees}
120 ≢ 120 \text{ radians}
2.5 \text{ rad} ≢ 2.5^\circ
# money
18 ≡ \$18
\$18 ≡ 18
\$18 ≡ 18 \text{ dollars}
\$18 ≡ \$18.00
18 ≡ 18 \text{ USD}
4.50 ≡ \$4.5
1250 ≡ \$1,250
\$1,250.50 ≡ 1250.5
\$0.75 ≡ 75\text{ cents}
75 ≡ 75\text{ cents}
75\text{ cents} ≡ \$0.75
-\$18 ≡ -18
\$18 ≢ \$180
\$18 ≢ \$1.80
18 ≢ -\$18
\$0.75 ≢ 0.75\text{ cents}
75\text{ cents} ≢ \$75
\$1,250 ≢ \$1.250
\$5 ≢ 5\%
"""

WORDS = r"""
# the same word
\text{east} ≡ east
\text{east} ≡ East
\text{east} ≡ \text{ EAST }
\text{Anna} ≡ Anna.
\text{ellipse} ≡ an ellipse
\text{parallelogram} ≡ \textbf{parallelogram}
\text{no solution} ≡ no solution
\text{Anna}, \text{Bob} ≡ \text{Bob}, \text{Anna}
\text{Anna and Bob} ≡ \text{Bob and Anna}
# other words
\text{east} ≢ west
\text{east} ≢ northeast
\text{east} ≢ east, west
\text{even} ≢ \text{odd}
\text{Yes} ≢ No
\text{Yes} ≢ not yes
\text{red} ≢ \text{not red}
\text{red} ≢ \text{red or blue}
\text{red} ≢ \text{dark red}
\text{injective} ≢ \text{not injective}
\text{no solution} ≢ one solution
\text{Anna} ≢ Ann
\text{Anna} ≢ Anna, Bob
\text{Anna}, \text{Bob} ≢ \text{Anna}
\text{Monday} ≢ 1
\text{March 3} ≢ \text{March 4}
\text{March 3} ≢ \text{May 3}
\text{March 3} ≢ 3
\text{n is odd} ≢ \text{n is even}
\text{at most } 5 ≢ \text{at least } 5
n \text{ is a multiple of } 3 ≢ n \text{ is a multiple of } 4
5 ≢ \text{at least } 5
5 ≢ \text{not } 5
5 ≢ 5 \text{ times } 2
5 ≢ 5 \text{ or } 6
5 ≢ five and six
5 ≢ \text{five hundred}
# a lettered option
\text{(C)} ≡ C
\text{(C)} ≡ (C)
C ≡ \text{(C)}
\text{(C)} ≢ D
8 ≢ B
1 ≢ l
0 ≢ O
"""


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(UNITS))
def test_units(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(WORDS))
def test_words(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict


LONG = {
    "numbers joined": " and ".join(["12"] * 200),
    "letters before and": "12 hand " * 200 + "!",
    "a compound that ends otherwise": "12 hours " * 150 + "!",
    "the same without spaces": "12 hours" * 24 + "!",
    "solutions glued": "1or21or2" * 40,
    "micro": "5" + r" \mu" * 390,
    "spaces before micro": "5" + " " * 1900 + r"\mu",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_measures_are_quick(text: str) -> None:
    start = time.process_time()
    assert not same(text, "13 hours")
    assert not same("13 hours", text)
    assert time.process_time() - start < 2
