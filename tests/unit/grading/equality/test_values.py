"""Single values: numbers in all their spellings, units, money, words; each beside near-misses."""

from __future__ import annotations

import pytest

from rlsc.grading.equality.compare import is_readable, same
from rlsc.types import Verdict
from tests.unit.grading.grading_table import pairs, verdict_of

NUMBERS = r"""
# fractions and decimals
1/2 ≡ 0.5
1/2 ≡ .5
½ ≡ 0.5
\frac{3}{8} ≡ 0.375
\dfrac38 ≡ 3/8
\tfrac{6}{16} ≡ \frac38
0.125 ≡ 1/8
-\frac{7}{4} ≡ \frac{-7}{4}
-\frac{7}{4} ≡ \frac{7}{-4}
-\frac{7}{4} ≡ -1.75
\frac{22}{7} ≡ 22 / 7
\frac{22}{7} ≡ 22÷7
3 ≡ \frac{12}{4}
12 ≡ 12.0
12 ≡ 12.
12 ≡ +12
12 ≡ 012
12 ≡ $12$
0 ≡ -0
7 ≡ -(-7)
7 ≡ |-7|
49 ≡ 7²
49 ≡ 7 \cdot 7
49 ≡ 7 \times 7
12 ≢ -12
12 ≢ 120
12 ≢ 1.2
12 ≢ 21
12 ≢ 1 2
12 ≢ 12i
12 ≢ 12k
12 ≢ 12\pi
12\pi ≢ 12
-7 ≢ 7
7 ≢ -(-(-7))
7 ≢ \sqrt{7}
7 ≢ 7²
7 ≢ 7.0.0
7 ≢ 5 + 3
77 ≢ 7 7
77 ≢ 7\cdot 7
\frac38 ≢ \frac83
\frac38 ≢ 38
\frac38 ≢ -\frac38
\frac{1}{2} ≢ 1, 2
0.05 ≢ 0.5
\frac{1}{0} ≢ 0
# rounding
2.50 ≡ 2.5
\frac{2}{3} ≡ \frac{2}{3} \approx 0.667
\frac{2}{3} ≢ \frac{3}{4} \approx 0.667
\frac{1}{3} ≢ 0.3
\frac{1}{3} ≢ 0.333333
\frac{2}{3} ≢ 0.67
\frac{2}{3} ≢ 0.6666666667
\frac{1}{7} ≢ 0.142857
0.3333 ≢ 1/3
\pi ≢ 3.14
\pi ≢ 22/7
3.14 ≢ \pi
\sqrt{2} ≢ 1.414
\sqrt{2} ≢ 1.41421356
e ≢ 2.718
2.5 ≢ 2.51
10 ≢ 9.9999
10 ≢ 10 + 10^{-12}
1000001 ≢ 1000000
e^{\pi\sqrt{163}} ≢ 262537412640768744
# percent
25\% ≡ 0.25
25\% ≡ \frac14
25\% ≡ 25
25 ≡ 25\%
25 ≡ 25%
0.25 ≡ 25\%
\frac{1}{4} ≡ 25\%
12.5\% ≡ \frac18
150\% ≡ 1.5
33\frac{1}{3}\% ≡ \frac13
\frac13 ≡ 33\frac13\%
\frac{1}{4} ≢ 0.25\%
0.25 ≢ 0.25\%
25\% ≢ 2.5
25\% ≢ 0.025
25\% ≢ 2500\%
25\% ≢ 75\%
25\% ≢ -25\%
25 ≢ 0.25
\frac{1}{3} ≢ 33\%
# thousands
12345 ≡ 12,345
12,345 ≡ 12345
1,234,567 ≡ 1234567
12,345 ≡ 12{,}345
114200 ≡ \$114{,}200
11232 ≡ \$11{,}232.00
11232 ≢ \$112{,}32.50
12,345 ≡ 12\,345
12,345 ≡ 12 345
12,345.6 ≡ 12345.60
1{,}000{,}000 ≡ 10^6
12345 ≢ 12,34
12345 ≢ 12.345
12345 ≢ 12, 345
1,234 ≢ 1, 2, 3, 4
1.000 ≢ 1000
3.5 ≢ 3,5
1,5 ≢ 15
# scientific
3000 ≡ 3 \times 10^3
3000 ≡ 3e3
3000 ≡ 3.0 \cdot 10^{3}
4.2 \times 10^{-3} ≡ 0.0042
4.2 \times 10^{-3} ≡ 4.2e-3
4.2e-3 ≡ 42 \times 10^{-4}
6.02 \times 10^{23} ≡ 6.02×10²³
10^{-6} ≡ 0.000001
10^{-6} ≡ 1e-6
3000 ≢ 3 \times 10^4
3000 ≢ 3 \times 10^{-3}
4.2 \times 10^{-3} ≢ 4.2
4.2 \times 10^{-3} ≢ -4.2 \times 10^{-3}
4.2 \times 10^{-3} ≢ 4.2 \times 10^{3}
6.02 \times 10^{23} ≢ 6.02 \times 10^{22}
6.02 \times 10^{23} ≢ 6.022 \times 10^{23}
1.6 \times 10^{-35} ≢ 1.6 \times 10^{-36}
10^{-40} ≢ 0
# mixed numbers
2\frac{1}{3} ≡ \frac73
2\frac13 ≡ 2 1/3
\frac{11}{4} ≡ 2\dfrac{3}{4}
-1\frac12 ≡ -1.5
2½ ≡ 5/2
-1\frac12 ≢ -0.5
2\frac13 ≢ \frac23
2\frac13 ≢ 21/3
2\frac{3}{4} ≢ \frac{3}{2}
# number words
7 ≡ seven
7 ≡ \text{seven}
seven ≡ 7
42 ≡ forty-two
42 ≡ forty two
3000 ≡ three thousand
2000000 ≡ two million
1200 ≡ twelve hundred
-3 ≡ minus three
\frac12 ≡ one half
\frac{3}{4} ≡ three quarters
\frac23 ≡ two-thirds
0 ≡ zero
7 ≢ eight
42 ≢ twenty-four
42 ≢ forty
17 ≢ seventy
-3 ≢ three
\frac23 ≢ three halves
12 ≢ one two
12 ≢ twelve hundred
# bases
1011_2 ≡ 1011_{2}
1011_2 ≡ 1011
1011_2 ≡ 1011_{\text{two}}
1011_2 ≡ 1011 \text{ (base 2)}
101_2 ≡ 0101_2
2A_{16} ≡ 2a_{16}
357 ≡ 357_8
1011_2 ≢ 1011_3
1011_2 ≢ 11
1011_2 ≢ 11_{10}
1011_2 ≢ 1101_2
357_8 ≢ 239
2A_{16} ≢ 2B_{16}
# ratios and times
1:2 ≡ 1 : 2
2:3 ≡ 4:6
2:3 ≢ 3:2
2:3 ≢ 2.3
3 ≢ 3:4
3:4:5 ≢ 5:4:3
12:30 ≢ 12:03
# infinity
\infty ≡ +\infty
\infty ≢ -\infty
\infty ≢ 0
0 ≢ \text{no solution}
"""

NUMERIC = r"""
# within 1 %
100 ≡ 101
100 ≡ 99
-100 ≡ -101
-100 ≡ -99
0.02 ≡ 0.0202
4.5e33 ≡ 4.54 \times 10^{33}
\frac{1}{3} ≡ 0.333
\pi ≡ 3.14
9.8 ≡ 9.81 \text{ m/s}^2
4.5e33 ≡ 4.5 \times 10^{33} \text{ erg/s}
3 \text{ km} ≡ 3010 \text{ m}
25\% ≡ 0.2505
0 ≡ 0.0
3+4i ≡ 3.01+4i
1, 2 ≡ 1.005, 2
# beyond
100 ≢ 101.01
100 ≢ 98.99
-100 ≢ -101.01
-100 ≢ -98.99
100 ≢ -100
100 ≢ 1000
100 ≢ 10
100 ≢ 100, 200
4.5e33 ≢ 4.5e32
4.5e33 ≢ 4.5e-33
4.5e33 ≢ 4.5
0.02 ≢ 0.2
0 ≢ 0.001
3 \text{ km} ≢ 3 \text{ m}
3 \text{ km} ≢ 3050 \text{ m}
1, 2 ≢ 1.005
x^2 ≢ 1.001 x^2
"""


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(NUMBERS))
def test_numbers(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(NUMERIC))
def test_numeric_kind(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference, "numeric") is verdict


@pytest.mark.parametrize(
    ("reference", "answer"), [("100", "101"), (r"\pi", "3.14"), ("0.02", "0.0202")]
)
def test_the_tolerance_is_for_the_numeric_kind_alone(reference: str, answer: str) -> None:
    assert verdict_of(answer, reference) is Verdict.WRONG


def test_a_worked_reference_ends_on_its_answer() -> None:
    assert verdict_of("11", "There are 3 + 8 = 11 of them.\n#### 11") is Verdict.CORRECT
    assert verdict_of("8", "There are 3 + 8 = 11 of them.\n#### 11") is Verdict.WRONG


def test_answers_of_any_length_equal_themselves_alone() -> None:
    digits = "7" * 5000
    assert same(digits, digits)
    assert not same(digits, digits[1:])
    assert not same("", digits)


@pytest.mark.parametrize("text", ["1/2", r"x^2+1", r"\text{east}", "(1,2]", "5 cm", r"1011_2"])
def test_is_readable(text: str) -> None:
    assert is_readable(text)


@pytest.mark.parametrize("text", ["", r"\frac{1}{", "x +* 2 )", "1" * 3000])
def test_is_not_readable(text: str) -> None:
    assert not is_readable(text)
