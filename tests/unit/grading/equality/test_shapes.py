"""Sets, intervals, tuples, matrices and several answers: nothing missing, added or swapped."""

from __future__ import annotations

import pytest

from rlsc.types import Verdict
from tests.unit.grading.grading_table import pairs, verdict_of

INTERVALS = r"""
# intervals and inequalities
x > 3 ≡ (3, \infty)
(3, \infty) ≡ x > 3
(3,\infty) ≡ 3 < x
(3,\infty) ≡ (3, +\infty)
x \ge 3 ≡ [3, \infty)
x \ge 3 ≡ x ≥ 3
x \le -2 ≡ (-\infty, -2]
-1 < x \le 4 ≡ (-1, 4]
(-1,4] ≡ -1 < x ≤ 4
(-1,4] ≡ 4 \ge x > -1
[0,1] ≡ 0 \leq x \leq 1
[0,1] ≡ x \in [0, 1]
[\frac12, 1) ≡ [0.5, 1)
(-\infty,\infty) ≡ \mathbb{R}
x>3 ≡ 2x > 6
-2x < 6 ≡ x > -3
3<x<5 ≡ 5 > x > 3
y \le 2x+1 ≡ 2x + 1 \ge y
(3,\infty) ≢ [3,\infty)
(3,\infty) ≢ x \ge 3
(3,\infty) ≢ x < 3
(3,\infty) ≢ (-\infty, 3)
(3,\infty) ≢ (3, -\infty)
(3,\infty) ≢ (\infty, 3)
x > 3 ≢ x > -3
x > 3 ≢ 3
x > 3 ≢ x = 3
-2x < 6 ≢ x < -3
3 < x < 5 ≢ 3 < x
3 < x < 5 ≢ 3 < x < 6
3 < x < 5 ≢ 4
y \le 2x+1 ≢ y \ge 2x + 1
y \le 2x+1 ≢ y < 2x+1
(-1,4] ≢ [-1,4)
(-1,4] ≢ (-1,4)
(-1,4] ≢ [-1,4]
(-1,4] ≢ (4,-1]
(-1,4] ≢ [4,-1)
(-1,4] ≢ (1,4]
(-1,4] ≢ -1, 4
[0,1] ≢ \{0,1\}
[0,1] ≢ (0,1)
[0,1] ≢ 0, 1
[0,1] ≢ 1
[0,1] ≢ [1,0]
# unions and complements
(-\infty,1)\cup(2,\infty) ≡ (2,\infty)\cup(-\infty,1)
(-\infty,1)\cup(2,\infty) ≡ x<1 \text{ or } x>2
[0,1]\cup[1,2] ≡ [0,2]
[0,2]\cup\{5\} ≡ \{5\} \cup [0,2]
(0,1)\cup\{1\} ≡ (0,1]
[1,2) \cup (2,3] ≡ [1,3] \setminus \{2\}
\mathbb{R} \setminus \{2\} ≡ (-\infty,2) \cup (2,\infty)
\mathbb{R} \setminus \{2\} ≡ x \neq 2
x \ne 2 ≡ (-\infty,2) \cup (2,\infty)
(-\infty,1)\cup(2,\infty) ≢ (-\infty,1)
(-\infty,1)\cup(2,\infty) ≢ (1,2)
(-\infty,1)\cup(2,\infty) ≢ (-\infty,1]\cup[2,\infty)
(-\infty,1)\cup(2,\infty) ≢ (-\infty,2)\cup(1,\infty)
(-\infty,1)\cup(2,\infty) ≢ (-\infty,1)\cap(2,\infty)
[0,2]\cup\{5\} ≢ [0,2]
[0,2]\cup\{5\} ≢ [0,5]
[1,2) \cup (2,3] ≢ [1,3]
x<1 \text{ or } x>2 ≢ x<1
x<1 \text{ or } x>2 ≢ 1 < x < 2
x<1 \text{ or } x>2 ≢ x \le 1 \text{ or } x \ge 2
1<x<2 ≢ x>1 \text{ or } x<2
x \ne 2 ≢ x = 2
x \ne 2 ≢ 2
x \ne 2, 3 ≢ x \ne 2
\mathbb{R} ≢ \mathbb{Z}
"""

ORDERED = r"""
# tuples
(1,2) ≡ \left(1, 2\right)
(1,2) ≡ (1.0, \frac42)
(1,2) ≡ (1; 2)
(1,2) ≡ x = 1, y = 2
(1,2) ≡ (x,y) = (1,2)
(1,2,3) ≡ \langle 1,2,3 \rangle
-(1, 2) ≡ (-1, -2)
(\sqrt8, \pi) ≡ (2\sqrt2, \pi)
\left(3, \frac{\pi}{2}\right) ≡ (3, π/2)
(1,2) ≢ (2,1)
(1,2) ≢ (1,2,0)
(1,2) ≢ (1,-2)
(1,2) ≢ (-1,2)
(1,2) ≢ -(1,2)
(1,2) ≢ [1,2]
(1,2) ≢ [1,2)
(1,2) ≢ 1
(1,2) ≢ 2
(1,2) ≢ 12
(1,2) ≢ 1.2
(1,2) ≢ x = 2, y = 1
(a,b)=(2,3) ≢ (a,b)=(3,2)
(a,b)=(2,3) ≢ a=3,b=2
((1,2),3) ≢ (1,2,3)
(1,2,3) ≢ (3,2,1)
(0,0) ≢ 0
# matrices
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≡ \begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≡ \left(\begin{array}{cc}1&2\\3&4\end{array}\right)
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≡ [[1, 2], [3, 4]]
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≡ A = \begin{pmatrix}1&2\\3&4\end{pmatrix}
\begin{pmatrix}1/2&1\\3/2&2\end{pmatrix} ≡ \frac12 \begin{pmatrix}1&2\\3&4\end{pmatrix}
\begin{pmatrix}-1&0\\0&-1\end{pmatrix} ≡ -\begin{pmatrix}1&0\\0&1\end{pmatrix}
\begin{pmatrix}2\\5\end{pmatrix} ≡ (2, 5)
\begin{pmatrix}x+1\\2\end{pmatrix} ≡ \begin{pmatrix}1+x\\2\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≢ \begin{pmatrix}1&3\\2&4\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≢ \begin{pmatrix}1&2\\3&-4\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≢ \begin{pmatrix}1&2&3&4\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≢ 2\begin{pmatrix}1&2\\3&4\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≢ \begin{pmatrix}1&2\\3&4\end{pmatrix}^T
\begin{pmatrix}1&2\\3&4\end{pmatrix} ≢ -2
\begin{pmatrix}0&0\\0&0\end{pmatrix} ≢ 0
\begin{pmatrix}2\\5\end{pmatrix} ≢ \begin{pmatrix}5\\2\end{pmatrix}
\begin{pmatrix}2\\5\end{pmatrix} ≢ \begin{pmatrix}2&5\end{pmatrix}
\begin{pmatrix}2\\5\end{pmatrix} ≢ (5, 2)
\begin{pmatrix}2\\5\end{pmatrix} ≢ 2, 5
"""

SEVERAL = r"""
# sets
\{1,2,3\} ≡ \{3,1,2\}
\{1,2,3\} ≡ \left\{ 1, 2, 3 \right\}
\{1,2,3\} ≡ 1, 2, 3
\{1,2,3\} ≡ 1, 2 \text{ and } 3
\{\frac12, 2\} ≡ \{2, 0.5\}
\{5\} ≡ 5
\{(1,2),(3,4)\} ≡ (3,4), (1,2)
\emptyset ≡ \varnothing
\emptyset ≡ \{\}
\{1,2,3\} ≢ \{1,2\}
\{1,2,3\} ≢ \{1,2,3,4\}
\{1,2,3\} ≢ \{1,2,4\}
\{1,2,3\} ≢ \{-1,2,3\}
\{1,2,3\} ≢ 3
\{1,2,3\} ≢ (1,2,3)
\{1,2,3\} ≢ 6
\{1, 2, \ldots, 10\} ≢ \{1, 2, 10\}
\{5\} ≢ \{5, 6\}
\{1,2\} ≢ (1,2)
\{1,2\} ≢ [1,2]
\{(1,2),(3,4)\} ≢ (1,2)
\{(1,2),(3,4)\} ≢ (2,1),(4,3)
\{(1,2),(3,4)\} ≢ (1,3),(2,4)
\{(1,2),(3,4)\} ≢ 1,2,3,4
\emptyset ≢ 0
\{0\} ≢ \emptyset
# several answers
1, -2 ≡ -2, 1
1, -2 ≡ 1; -2
1,-2 ≡ x = 1 \text{ or } x = -2
1,-2 ≡ x=1, x=-2
1,-2 ≡ \{1,-2\}
1,-2 ≡ 1 and -2
1,-2 ≡ x = -2, 1
x=1 \text{ or } x=-2 ≡ 1, -2
0, 1, 4 ≡ 4, 0 \text{ and } 1
\frac{1}{2}, 3 ≡ 3, 0.5
(1,2), (3,4) ≡ (3,4) \text{ and } (1,2)
x=1, y=2 ≡ y=2, x=1
1 ≡ 1 \text{ or } 1.0
1,-2 ≢ 1
1,-2 ≢ -2
1,-2 ≢ 1, -2, 3
1,-2 ≢ 1, 2
1,-2 ≢ -1, 2
1,-2 ≢ x = 1
1,-2 ≢ -1
1,-2 ≢ (1,-2]
1 ≢ 1, -2
1 ≢ 1 \text{ or } -2
1 ≢ \{1, -2\}
1 ≢ x = 1 \text{ or } x = -2
1 ≢ (1, -2)
x=1 ≢ x=1, y=2
x=1, y=2 ≢ x=1
0, 1, 4 ≢ 0, 1
0, 1, 4 ≢ 0, 1, 4, 9
0, 1, 4 ≢ 5
(1,2), (3,4) ≢ (1,2)
(1,2), (3,4) ≢ (1,2), (3,4), (5,6)
(1,2), (3,4) ≢ (2,1), (4,3)
# plus-minus
\pm 3 ≡ -3, 3
3,-3 ≡ \pm 3
3,-3 ≡ ±3
3,-3 ≡ x = \pm 3
\sqrt{2}, -\sqrt2 ≡ \pm\sqrt{2}
1 \pm \sqrt5 ≡ 1-\sqrt5 \text{ and } 1+\sqrt5
\frac{-1 \pm \sqrt{5}}{2} ≡ \frac{-1+\sqrt5}{2}, \frac{-1-\sqrt5}{2}
2 \pm 3i ≡ 2-3i, 2+3i
\pm 1, \pm 2 ≡ 1, -1, 2, -2
\pm 3 ≢ 3
\pm 3 ≢ -3
3 ≢ \pm 3
-3 ≢ \pm 3
\pm 3 ≢ \pm 4
\pm 3 ≢ 3, -3, 0
\pm 1, \pm 2 ≢ \pm 1
1 \pm \sqrt5 ≢ 1+\sqrt5
1 \pm \sqrt5 ≢ -1 \pm \sqrt5
1 \pm \sqrt5 ≢ \pm 1 + \sqrt5
\frac{-1 \pm \sqrt{5}}{2} ≢ \frac{1 \pm \sqrt{5}}{2}
2 \pm 3i ≢ 3 \pm 2i
"""


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(INTERVALS))
def test_intervals(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(ORDERED))
def test_ordered(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(SEVERAL))
def test_several(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict
