"""Expressions and equations: identities hold under any spelling, near-identities do not."""

from __future__ import annotations

import pytest

from rlsc.types import Verdict
from tests.unit.grading.grading_table import pairs, verdict_of

CONSTANTS = r"""
# surds
\sqrt{8} ≡ 2\sqrt{2}
2\sqrt2 ≡ \sqrt8
\frac{1}{\sqrt{2}} ≡ \frac{\sqrt{2}}{2}
\frac{1}{\sqrt{3}-1} ≡ \frac{\sqrt3+1}{2}
\sqrt{3+2\sqrt{2}} ≡ 1+\sqrt2
\sqrt[3]{54} ≡ 3\sqrt[3]{2}
2\sqrt{3} ≡ 2√3
2\sqrt{3} ≡ 2*sqrt(3)
2\sqrt{3} ≡ 12^{1/2}
5 ≡ \sqrt{25}
2^{\frac{2}{3}} ≡ \sqrt[3]{4}
-\sqrt{3} ≡ -3^{1/2}
\sqrt{8} ≢ 4\sqrt{2}
\sqrt{8} ≢ 2\sqrt{3}
\sqrt{8} ≢ -2\sqrt{2}
\sqrt{8} ≢ \sqrt[3]{8}
\sqrt{8} ≢ 2 + \sqrt{2}
\sqrt{5} ≢ 5
\sqrt{2}+\sqrt{3} ≢ \sqrt{5}
1+\sqrt2 ≢ 1-\sqrt2
# powers, factorials, binomials
2^{10} ≡ 1024
2^{100} ≡ 1267650600228229401496703205376
2^{2024} ≡ 4^{1012}
\frac{7!}{5!} ≡ 42
\binom{5}{2} ≡ 10
10 ≡ \binom{5}{2}
\binom{10}{3} ≡ \binom{10}{7}
{5 \choose 2} ≡ 10
\lfloor 3.7 \rfloor ≡ 3
\lceil 3.2 \rceil ≡ 4
\sum_{k=1}^{4} k ≡ 10
\frac12 ≡ \int_0^1 x \, dx
2^{10} ≢ 2^{9}
2^{10} ≢ 20
2^{100} ≢ 1.2676506 \times 10^{30}
2^{99}-1 ≢ 2^{99}
\binom{5}{2} ≢ \binom{5}{1}
\binom{5}{2} ≢ \frac52
100! ≢ 99!
\int_0^1 x\,dx ≢ 1
# logarithms and angles
\ln 8 ≡ 3 \ln 2
\log_2 8 ≡ 3
\log_{4} 32 ≡ \frac52
\arcsin\frac12 ≡ \frac{\pi}{6}
\frac{\pi}{4} ≡ \arctan 1
\arctan 2 ≡ \tan^{-1} 2
\ln 8 ≢ \log_{10} 8
\log_2 3 ≢ \log_3 2
\arctan 2 ≢ \tan 2
\cos \frac{\pi}{7} ≢ \cos \frac{\pi}{8}
\frac{\pi}{4} ≢ \frac{5\pi}{4}
# complex numbers
3+4i ≡ 4i+3
(1+i)^2 ≡ 2i
i^2 ≡ -1
\frac{1}{i} ≡ -i
e^{i\pi} ≡ -1
5 ≡ |3+4i|
\sqrt{-3} ≡ \sqrt{3}i
\frac{1+i}{\sqrt2} ≡ e^{i\pi/4}
2\left(\cos\frac{\pi}{3} + i\sin\frac{\pi}{3}\right) ≡ 1+i\sqrt3
3+4i ≢ 3-4i
3+4i ≢ -3+4i
3+4i ≢ 4+3i
3+4i ≢ 7i
3+4i ≢ 5
2i ≢ 2
1 ≢ i
"""

EXPRESSIONS = r"""
# polynomials and fractions
(x+1)^2 ≡ x^2+2x+1
x^2-1 ≡ (x-1)(x+1)
2x ≡ x \cdot 2
\frac{x}{2} ≡ \frac12 x
\frac{x}{2} ≡ 0.5x
\frac{x^2-1}{x-1} ≡ x+1
\frac{1}{a}+\frac{1}{b} ≡ \frac{a+b}{ab}
a^{-1} ≡ \frac1a
p-q ≡ -q+p
x_1 + x_2 ≡ x_{2} + x_{1}
\alpha\beta ≡ \beta \alpha
v_0 t - \frac12 g t^2 ≡ t v_0 - \frac{g t^2}{2}
\frac{GMm}{r^2} ≡ \frac{G M m}{r^{2}}
x^2 + C ≡ C + x^2
2\hat{i} + 3\hat{j} ≡ 3\hat{j} + 2\hat{i}
x^2+2x+1 ≢ x^2+x+1
x^2+2x+1 ≢ x^2-2x+1
x^2+2x+1 ≢ y^2+2y+1
(x+1)^2 ≢ x^2+1
x^2 - y^2 ≢ (x-y)^2
x + 10^{-20} ≢ x
x ≢ X
x^{2} ≢ x_{2}
x+1 ≢ 2
-x ≢ x
ab ≢ a + b
xy ≢ x
p - q ≢ q - p
\frac{x}{2} ≢ \frac{2}{x}
x_1 + x_2 ≢ x_1 + x_3
x^2 + C ≢ x^2
\frac{x^3}{3} + C ≢ x^3 + C
\frac{GMm}{r^2} ≢ \frac{GMm}{r}
\frac{GMm}{r^2} ≢ -\frac{GMm}{r^2}
\pi r^2 ≢ 2\pi r
2\hat{i} + 3\hat{j} ≢ 3\hat{i} + 2\hat{j}
# roots and absolute values
\sqrt{x}\sqrt{y} ≡ \sqrt{xy}
|x| ≡ \sqrt{x^2}
|x| ≢ x
|x| ≢ -x
\sqrt{x^2+y^2} ≢ x+y
\sqrt{x+1} ≢ \sqrt{x}+1
\sqrt{\frac{k}{m}} ≢ \sqrt{\frac{m}{k}}
# functions
\sin^2 x + \cos^2 x ≡ 1
\sin 2x ≡ 2 \sin x \cos x
\cos(2x) ≡ 1 - 2\sin^2(x)
\tan^2 x + 1 ≡ \sec^2 x
\sin^{-1} x ≡ \arcsin x
\cosh x ≡ \frac{e^x+e^{-x}}{2}
\ln(xy) ≡ \ln x + \ln y
e^{x+y} ≡ e^x e^y
e^{2x} ≡ \exp(2x)
\sin x ≢ \cos x
\sin 2x ≢ 2 \sin x
\sin^{-1} x ≢ \frac{1}{\sin x}
\sinh x ≢ \frac{e^x+e^{-x}}{2}
\ln x ≢ \log_{2} x
e^{2x} ≢ e^{x^2}
e^x ≢ e^{-x}
e^{x} ≢ 2.718^x
f(2) ≢ f(3)
f(x+1) ≢ f(x)+1
\max(x,y) ≢ x+y
\min(x,y) ≢ \max(x,y)
P(A \cap B) ≢ P(A \cup B)
# whole numbers
2^{n+1} ≡ 2 \cdot 2^n
n(n+1)/2 ≡ \frac{n^2+n}{2}
\binom{n}{2} ≡ \frac{n(n-1)}{2}
\frac{(n+1)!}{n!} ≡ n+1
\lfloor n/2 \rfloor ≡ \left\lfloor \frac{n}{2} \right\rfloor
\left\lceil \frac{n}{2} \right\rceil ≡ \left\lfloor \frac{n+1}{2} \right\rfloor
\sum_{k=1}^{n} k ≡ \frac{n(n+1)}{2}
(-1)^n ≡ (-1)^{n+2}
\cos(n\pi) ≡ (-1)^n
2^{n+1} ≢ 2^{n-1}
2^{n+1} ≢ 2^n + 1
n^2 ≢ 2^n
n! ≢ (n-1)!
2n+1 ≢ 2m+1
2k ≢ 2
\lfloor n/2 \rfloor ≢ \lceil n/2 \rceil
\lfloor n/2 \rfloor ≢ n/2
\binom{n}{2} ≢ \frac{n(n+1)}{2}
(-1)^n ≢ (-1)^{n+1}
(-1)^n ≢ 1
"""

EQUATIONS = r"""
# a value and its name
5 ≡ x = 5
5 ≡ 5 = x
x=5 ≡ 5
x=5 ≡ 2x=10
10 ≡ 2 + 3 + 5 = 10
a_n = 2n + 1 ≡ 2n+1
AB = 5 ≡ 5
x=\frac{\pi}{2}+k\pi ≡ \frac{\pi}{2}+k\pi
5 ≢ x = 6
5 ≢ x \neq 5
5 ≢ x > 5
10 ≢ 2 + 3 + 5 = 11
10 ≢ 10 + 1 = 11
x=5 ≢ x=-5
x=5 ≢ -x = 5
x=5 ≢ x^2=25
x=5 ≢ x+1=5
AB=5 ≢ BC=5
a_n = 2n + 1 ≢ a_{n+1} = 2n + 1
x=\frac{\pi}{2}+k\pi ≢ \frac{\pi}{2}+2k\pi
# functions
f(x)=x^2 ≡ x^2
f(x)=x^2 ≡ f(t) = t^2
f(x)=x^2 ≡ y = x^2
x^2 ≡ f(x) = x^2
f(x)=x^2 ≢ f(x)=x^3
f(x)=x^2 ≢ f(x)=2x
# curves
y=2x+3 ≡ y = 3+2x
y=2x+3 ≡ 2x - y + 3 = 0
x^2+y^2=25 ≡ x^2 + y^2 - 25 = 0
x+y=1 ≡ 2x+2y=2
\frac{x^2}{4}+y^2=1 ≡ x^2+4y^2=4
y=2x+3 ≢ y=2x-3
y=2x+3 ≢ y=3x+2
y=2x+3 ≢ 2x+y+3=0
y=2x+3 ≢ 2x+3=0
x+y=1 ≢ x+y
x+y=1 ≢ x+y=2
x^2+y^2=25 ≢ x^2+y^2=5
x^2+y^2=25 ≢ x^2-y^2=25
# derivatives
y' ≡ \frac{dy}{dx}
y'' ≡ \frac{d^2y}{dx^2}
\frac{dy}{dx} = 3x ≡ y' = 3x
y''+4y=0 ≡ \frac{d^2y}{dx^2} + 4y = 0
m\ddot{x} + kx = 0 ≡ m\ddot{x} = -kx
\dot{x}_{0} t / w ≡ \frac{\dot{x}_0}{w} t
\dot{x}_{0} t / w ≢ \frac{x_0}{w} t
\frac{1}{6} \pi+\pi k ≡ k\pi+\frac{\pi}{6}\ (k\in\mathbb{Z})
\frac{1}{6} \pi+\pi k ≢ k\pi-\frac{\pi}{6}\ (k\in\mathbb{Z})
y' ≢ y''
y' ≢ y
\frac{dy}{dx} = 3x ≢ y = 3x
\frac{dy}{dx} ≢ \frac{dx}{dy}
\frac{\partial f}{\partial x} ≢ \frac{\partial f}{\partial y}
m\ddot{x} + kx = 0 ≢ m\ddot{x} - kx = 0
m\ddot{x} + kx = 0 ≢ m\dot{x} + kx = 0
# congruences
x \equiv 3 \pmod 5 ≡ x \equiv 3 \pmod{5}
x \equiv 3 \pmod 5 ≢ x \equiv 2 \pmod 5
x \equiv 3 \pmod 5 ≢ x \equiv 3 \pmod 7
x \equiv 3 \pmod 5 ≢ 3
"""


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(CONSTANTS))
def test_constants(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(EXPRESSIONS))
def test_expressions(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(EQUATIONS))
def test_equations(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict
