"""What the rollout benchmark samples: prompts, completions per prompt, and the cap."""

from __future__ import annotations

from dataclasses import dataclass

_WORD_PROBLEMS = (
    "A baker makes 12 trays of rolls with 8 rolls on each tray. She sells 70 rolls in the morning "
    "and gives 5 to a neighbour. How many rolls does she have left?",
    "Tom has 3 boxes of 24 pencils. He shares them among 9 friends. How many does each get?",
    "A train travels 60 miles in the first hour, 75 miles in the second and 40 miles in the third. "
    "It then stands still for half an hour. How far has it travelled, and what was its average "
    "speed over the three hours of travel? Give the speed in miles per hour.",
    "Lena reads 14 pages every day. Her book has 238 pages. In how many days will she finish it?",
    "A school buys 45 chairs at $18 each and 15 tables at $64 each. Delivery costs $120, and the "
    "shop takes 10 percent off the price of the furniture because the order is large. How much "
    "does the school pay in all, delivery included?",
    "Sam runs 5 laps of a 400 metre track on Monday and twice as many on Wednesday. On Friday he "
    "runs 3 laps fewer than on Wednesday. How many kilometres does he run in the week?",
    "A tank holds 500 litres. A pump fills 35 litres a minute while 10 litres a minute leak out. "
    "How long does it take to fill the empty tank?",
    "Maria is 4 years older than Jim. In 6 years the sum of their ages will be 44. How old is Jim?",
)


@dataclass(frozen=True)
class Case:
    """`rounds` is how often each engine runs by default; the median counts."""

    questions: tuple[str, ...]
    samples: int
    max_new_tokens: int
    temperature: float = 0.5
    forced_length: bool = False
    rows: int = 128  # completions at once
    rounds: int = 3


def _sums(count: int) -> tuple[str, ...]:
    return tuple(f"What is {i % 9 + 1} + {i // 9 % 9 + 1}?" for i in range(count))


def _uneven() -> tuple[str, ...]:
    """Short questions; every fourth wants a long answer."""
    stories = [
        f"Ann has {i + 2} bags with {i % 7 + 3} marbles each and loses {i + 1}. How many are left?"
        for i in range(64)
    ]
    sums = list(_sums(192))
    return tuple(text for i in range(64) for text in (stories[i], *sums[3 * i : 3 * i + 3]))


CASES = {
    "demo": Case(_sums(8), 16, 48),
    "words": Case(_WORD_PROBLEMS, 16, 128),
    "long": Case(_WORD_PROBLEMS[:4], 16, 1024, forced_length=True, rounds=1),
    "uneven": Case(_uneven(), 2, 160),
    "greedy": Case(tuple(f"{text} ({i})" for i, text in enumerate(_sums(500))), 1, 48, 0.0),
}


@dataclass(frozen=True)
class StepCase:
    """A training step: every question with so many completions."""

    questions: tuple[str, ...]
    samples: int
    max_new_tokens: int
    forced_length: bool = False
    rows: int = 128  # completions at once
    trl_rows: int = 32  # of TRL's micro-batches
    vocabulary: int = 0  # of a small random model; 0: the pretrained one


STEPS = {
    "demo": StepCase(_sums(8), 16, 48),
    "words": StepCase(_WORD_PROBLEMS, 16, 128),
    "long": StepCase(_WORD_PROBLEMS[:2], 16, 1024, forced_length=True, trl_rows=8),
    "vocab": StepCase(_sums(8), 4, 128, trl_rows=8, vocabulary=152_064),
}
