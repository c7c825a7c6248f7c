"""Every objective through `RLSCTrainer`, on a tiny model."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification

from rlsc import RLSCTrainer
from rlsc.errors import ConfigError, ModelError, QuestionError
from rlsc.grading import extract_answer
from rlsc.models.reward_model import RewardModel
from rlsc.objectives import PoolView
from rlsc.objectives.general import General
from rlsc.objectives.registry import OBJECTIVES
from rlsc.records.jsonl import read_jsonl
from rlsc.types import AnswerKey
from tests.conftest import tiny_model, tiny_tokenizer
from tests.smoke.training.test_trainer import CHATS, completions, config, weights

LABELLED = ("grpo", "ppo")
SAMPLING = {"temperature": 1.0, "max_completion_length": 12}
IN_SUMS = ("kl", "kl_cov")
WITH_REFERENCE = ("ttrl", "grpo", "rlhf", "format_only")


class Forbidden(AnswerKey):
    """Answers that nobody may look at."""

    def __getitem__(self, question_id: str) -> str:
        raise AssertionError("training read an answer")

    __contains__ = __iter__ = __len__ = __getitem__  # type: ignore[assignment]


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny one, made here: random weights, one score."""
    folder = tmp_path_factory.mktemp("reward")
    settings = tiny_model().config
    settings.num_labels, settings.pad_token_id = 1, 0
    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_config(settings)
    model.score.weight.data.normal_(std=2.0)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def trainer(folder: Path, key: AnswerKey | None = None, objective=None, **changes) -> RLSCTrainer:
    """`objective`: a name, or an instance."""
    named = isinstance(objective, str)
    changes |= {"objective": objective} if named else {}
    rows = [{"id": str(n), "prompt": chat} for n, chat in enumerate(CHATS)]
    return RLSCTrainer(
        model=tiny_model(),
        args=config(folder, **changes),
        train_dataset=rows,
        processing_class=tiny_tokenizer(),
        objective=None if named else objective,
        answer_key=key,
    )


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> AnswerKey:
    """What the tiny model says in its first step, so that some of its completions are right."""
    folder = tmp_path_factory.mktemp("labels")
    trainer(folder, **SAMPLING, max_steps=1).train()
    said: dict[str, str] = {}
    for row in read_jsonl(folder / "completions" / "0.jsonl"):
        answer = extract_answer(row["text"])
        if answer is not None:
            said.setdefault(row["id"], answer)
    assert len(said) > 1
    return AnswerKey({str(n): said.get(str(n), "-1") for n in range(len(CHATS))})


def settings(name: str, reward_model: Path) -> dict:
    own: dict = {"reward_model": str(reward_model)} if name == "rlhf" else {}
    own |= {"negative_share": 0.4} if name == "scrl" else {}  # of four completions
    return {"objective": name} | own


def test_kl_alone_stays_where_it_is_and_holds_others_back(tmp_path: Path) -> None:
    shared = SAMPLING | {"weight_decay": 0.0}
    still = trainer(tmp_path / "kl", objective="kl", **shared)
    start = weights(still).clone()
    still.train()
    assert torch.equal(weights(still), start)
    divergences = []
    for beta in (0.0, 10.0):
        run = trainer(tmp_path / str(beta), beta=beta, learning_rate=1e-2, **shared)
        run.train()
        rows = read_jsonl(tmp_path / str(beta) / "metrics.jsonl")
        assert math.isfinite(rows[-1]["loss"])
        divergences.append((weights(run) - start).norm().item())
    assert divergences[1] < divergences[0]


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name not in {*IN_SUMS, "trr"}])
def test_every_objective_trains(
    name: str, tmp_path: Path, reward_model: Path, labels: AnswerKey
) -> None:
    key = labels if name in LABELLED else Forbidden({})
    shared = SAMPLING | {"weight_decay": 0.0}  # which would move the weights by itself
    steps = 4 if name == "co_rewarding" else 2  # its votes agree late
    run = trainer(tmp_path, key, **settings(name, reward_model), **shared, max_steps=steps)
    start = weights(run).clone()
    run.train()
    metrics = read_jsonl(tmp_path / "metrics.jsonl")
    assert len(metrics) == steps
    assert all(math.isfinite(row["loss"]) for row in metrics)
    moved = not torch.equal(weights(run), start)
    assert moved == any(row.get("zero_weight", 0) < 1 for row in metrics)
    assert moved or name == "format_only"  # the tiny model never boxes
    rows = read_jsonl(tmp_path / "completions" / "0.jsonl")
    assert len(rows) == 12
    if name in ("rlhf", "sequence_entropy", "random", "dpo", "self_certainty"):
        assert min(row["weight"] for row in rows) < 0 < max(row["weight"] for row in rows)


def test_a_normalised_sum_trains_with_tokens_held_back(tmp_path: Path) -> None:
    shared = SAMPLING | {"objective": "ttrl,sequence_entropy", "num_iterations": 2}
    shared |= {"normalise_sum": True, "learning_rate": 1e-2, "weight_decay": 0.0}
    held = {"objective": "ttrl,sequence_entropy,kl_cov", "objective_weights": "1,1,50"}
    free, less = (
        trainer(tmp_path / str(n), **(shared | more))
        for n, more in enumerate(({}, held | {"kl_cov_share": 0.2}))
    )
    for run in (free, less):
        run.train()
    rows = [[r["loss"] for r in read_jsonl(tmp_path / f"{n}/metrics.jsonl")] for n in (0, 1)]
    assert rows[0][0] == pytest.approx(rows[1][0], abs=1e-6)  # nothing at the first update
    assert rows[0][1] != pytest.approx(rows[1][1], abs=1e-4)
    assert not torch.equal(weights(free), weights(less))


def test_a_few_labels_judge_and_siblings_the_rest(tmp_path: Path, labels: AnswerKey) -> None:
    few = AnswerKey({"0": labels["0"]})
    run = trainer(tmp_path, few, objective="grpo", label_share=1.0, **SAMPLING)
    assert run.labels_used == 1
    run.train()
    shares = {round(3 * r["labelled"], 9) for r in read_jsonl(tmp_path / "metrics.jsonl")}
    assert {1.0} <= shares <= {0.0, 1.0}  # of the three questions of a step


def test_ppo_takes_a_reward_model_in_place_of_labels(tmp_path: Path, reward_model: Path) -> None:
    shared = SAMPLING | {"weight_decay": 0.0}
    run = trainer(
        tmp_path, Forbidden({}), objective="ppo", reward_model=str(reward_model), **shared
    )
    start = weights(run).clone()
    run.train()
    assert not torch.equal(weights(run), start)
    assert not bool((run.auxiliary.value_head._linear.weight == 0).all())


@pytest.mark.parametrize(
    "name",
    [
        *("self_certainty", "ppo"),
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("dpo", "random", "entropy_loss", "rlhf")
        ),
    ],
)
def test_layouts_agree(name: str, tmp_path: Path, reward_model: Path, labels: AnswerKey) -> None:
    """Token trees against padded rows, merged or not, each completion a micro-batch or all."""
    found = []
    variants = (
        {},
        {"padding_free": False, "merge_duplicates": False},
        {"tokens_per_microbatch": 20, "logits_chunk_size": 3},
    )
    for number, changes in enumerate(variants):
        key = labels if name in LABELLED else None
        shared = SAMPLING | settings(name, reward_model) | changes | {"max_steps": 2}
        run = trainer(tmp_path / str(number), key, **shared)
        run.train()
        found.append(weights(run))
    start = weights(trainer(tmp_path / "start"))
    moved = (found[0] - start).abs().max()
    assert moved > 1e-4
    for other in found[1:]:
        assert (found[0] - other).abs().max() < 0.1 * moved


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_the_divergence_counts_and_its_model_stays(
    name: str, tmp_path: Path, reward_model: Path, labels: AnswerKey
) -> None:
    key = labels if name in LABELLED else None
    shared = SAMPLING | settings(name, reward_model) | {"learning_rate": 1e-4, "max_steps": 2}
    free, held = (trainer(tmp_path / str(beta), key, **shared, beta=beta) for beta in (0.0, 100.0))
    assert free.auxiliary.reference is None
    assert held.auxiliary.reference is not None
    for run in (free, held):
        run.train()
    assert not torch.equal(weights(free), weights(held))
    # The copy has not moved with the policy.
    assert torch.equal(
        torch.cat([p.flatten() for p in held.auxiliary.reference._model.parameters()]),
        weights(trainer(tmp_path / "start")),
    )


def test_several_updates_on_a_rollout(tmp_path: Path) -> None:
    """The completions of two steps are the same, the weights move in each, resuming is exact."""
    shared = {"objective": "sequence_entropy", "num_iterations": 2, "temperature": 1.0}
    whole = trainer(tmp_path / "whole", **shared)
    whole.train()
    texts = completions(tmp_path / "whole")
    ids = [
        [row["completion_token_ids"] for row in read_jsonl(tmp_path / "whole/completions" / name)]
        for name in ("0.jsonl", "1.jsonl", "2.jsonl")
    ]
    assert ids[0] == ids[1] != ids[2]
    # What the first update has noted is what the second one's ratios refer to.
    batch = whole._batch
    assert batch is not None
    assert batch.old_logps_NT is not None
    first = [row["logprob"] for row in read_jsonl(tmp_path / "whole/completions/2.jsonl")]
    assert batch.old_logps_NT.sum(-1).tolist() == pytest.approx(first, rel=1e-5)
    second = [row["logprob"] for row in read_jsonl(tmp_path / "whole/completions/3.jsonl")]
    assert second != pytest.approx(first, rel=1e-5)
    assert texts[0] != texts[1]  # log-probs under the policy of the time
    trainer(tmp_path / "cut", **shared, max_steps=2).train()
    resumed = trainer(tmp_path / "cut", **shared)
    resumed.train(resume_from_checkpoint=True)
    assert completions(tmp_path / "cut") == texts
    assert torch.equal(weights(resumed), weights(whole))


def test_ppo_resumes_with_its_value_head(tmp_path: Path, labels: AnswerKey) -> None:
    shared = SAMPLING | {"objective": "ppo"}
    whole = trainer(tmp_path / "whole", labels, **shared)
    whole.train()
    trainer(tmp_path / "cut", labels, **shared, max_steps=2).train()
    resumed = trainer(tmp_path / "cut", labels, **shared)
    resumed.train(resume_from_checkpoint=True)
    assert torch.equal(weights(resumed), weights(whole))
    losses = [row["value_loss"] for row in read_jsonl(tmp_path / "whole" / "metrics.jsonl")]
    kept = [row["value_loss"] for row in read_jsonl(tmp_path / "cut" / "metrics.jsonl")]
    assert kept == losses
    head = whole.auxiliary.value_head
    assert head is not None
    assert head._linear.weight.abs().max() > 0


def test_some_vote_and_fewer_train(tmp_path: Path) -> None:
    run = RLSCTrainer(
        model=tiny_model(),
        args=config(tmp_path, objective="ttrl", train_generations=2, max_steps=1),
        train_dataset=[{"prompt": chat} for chat in CHATS],
        processing_class=tiny_tokenizer(),
    )
    run.train()
    assert len(read_jsonl(tmp_path / "completions" / "0.jsonl")) == 6


def test_an_adapter_is_its_own_reference(tmp_path: Path) -> None:
    from peft import LoraConfig

    rows = [{"prompt": chat} for chat in CHATS]
    run = RLSCTrainer(
        model=tiny_model(),
        args=config(tmp_path, objective="dpo", temperature=1.0),
        train_dataset=rows,
        processing_class=tiny_tokenizer(),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"),
    )
    run.train()
    reference = run.auxiliary.reference
    assert reference is not None
    assert reference._model is run.model
    assert all(math.isfinite(row["loss"]) for row in read_jsonl(tmp_path / "metrics.jsonl"))


def test_a_reward_model_scores_each_completion_as_alone(reward_model: Path) -> None:
    """Batched and padded as one by one; a chat goes through its own template."""
    model = RewardModel(str(reward_model), torch.device("cpu"))
    texts = ["12", "the answer is 3", "", "a b c d e f g"]
    alone = AutoModelForSequenceClassification.from_pretrained(reward_model)
    alone.config.pad_token_id = 0
    tokenizer = tiny_tokenizer()
    prefill = [*CHATS[0], {"role": "assistant", "content": "It is"}]  # is gone on with
    for prompt in ("What is 3?", CHATS[0], prefill):
        expected = []
        for text in texts:
            if isinstance(prompt, str):
                ids = tokenizer(prompt + text)["input_ids"]
            else:
                said = "It is" + text if prompt is prefill else text
                messages = [*CHATS[0], {"role": "assistant", "content": said}]
                whole = tokenizer.apply_chat_template(messages, tokenize=False)
                ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                expected.append(alone(torch.tensor([ids])).logits.item())
        scores = model(prompt, texts)
        assert scores.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert len(set(expected)) == len(texts)


def test_a_reward_model_reads_the_beginning_of_text_once(reward_model: Path) -> None:
    """Given text may be what a chat template made, which has it already."""
    model = RewardModel(str(reward_model), torch.device("cpu"))
    tokenizer = model._tokenizer
    tokenizer.bos_token = "<user>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<user> $A", special_tokens=[("<user>", tokenizer.bos_token_id)]
    )
    begun, plain = (model._encoded(text, "7") for text in ("<user>3+4=", "3+4="))
    assert begun == plain
    assert begun.count(tokenizer.bos_token_id) == 1


# Objectives of the user's own.

USER_CODE = '''
"""Objectives of a user."""
from rlsc.objectives import Objective
from rlsc.objectives.general import General


def brevity(siblings):
    """The shorter, the better."""
    return [-float(len(text)) for text in siblings.texts]


brevity.weights_need = ()
squared = General(lambda old, new: -(2 * old).exp() * new)
number = 7


class Certain(Objective):
    weights_need = ("scores",)

    def weigh(self, siblings):
        return (-siblings.entropies_KT.sum(-1)).exp()


def broken(siblings):
    return [1.0]
'''


@pytest.fixture
def user_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_objectives.py").write_text(USER_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("name", ["brevity", "squared", "Certain", "Certain,rlsc"])
def test_objectives_of_a_users_own(name: str, tmp_path: Path, user_code: None) -> None:
    names = ",".join(one if one == "rlsc" else f"my_objectives:{one}" for one in name.split(","))
    run = RLSCTrainer(
        model=tiny_model(),
        args=config(tmp_path / "own", objective=names, temperature=1.0, max_steps=1),
        train_dataset=[{"prompt": chat} for chat in CHATS],
        processing_class=tiny_tokenizer(),
    )
    start = weights(run).clone()
    run.train()
    assert not torch.equal(weights(run), start)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "my_objectives:number"}, "must be a subclass or an instance"),
        ({"objective": "my_objectives:nothing"}, "nothing"),
        ({"objective": "no_such_module:f"}, "no_such_module"),
        ({"objective": "rlcs"}, "must be one of"),
        ({"objective": "rlsc,ttrl", "objective_weights": "1"}, "give 2 finite numbers"),
        ({"objective": "rlsc", "objective_weights": "1"}, "several objectives"),
        ({"objective": "rlsc", "vote_threshold": 0.5}, "no setting of objective rlsc"),
        ({"objective": "grpo"}, "needs labels"),
        ({"objective": "rlhf"}, "needs a reward model"),
        ({"objective": "rlhf", "reward_model": "/nowhere"}, "cannot load the reward model"),
        ({"objective": "grpo", "epsilon": 2.0}, "epsilon must be"),
        ({"objective": "grpo", "num_iterations": 3}, "multiple of num_iterations"),
        ({"objective": "ttrl", "shaping": "odd"}, "shaping must be one of"),
        ({"objective": "ttrl", "train_generations": 9}, "train_generations must be"),
        ({"objective": "ttrl", "skip_weight_below": 0.1}, "skip_weight_below is for"),
        (
            {"objective": "ttrl", "weight": "answer"},
            "weight is no setting of objective ttrl: it is a setting of objective rlsc",
        ),
        ({"objective": "dpo", "train_generations": 2}, "dpo"),
    ],
    ids=str,
)
def test_what_cannot_work_is_said(
    changes: dict, message: str, tmp_path: Path, user_code: None
) -> None:
    with pytest.raises((ConfigError, ModelError), match=message):
        trainer(tmp_path / "run", **changes)


def test_a_reward_that_does_not_fit_is_said(tmp_path: Path, user_code: None) -> None:
    run = RLSCTrainer(
        model=tiny_model(),
        args=config(tmp_path / "run", objective="my_objectives:broken"),
        train_dataset=[{"prompt": chat} for chat in CHATS],
        processing_class=tiny_tokenizer(),
    )
    with pytest.raises(ConfigError, match="a number for each of the 4 completions"):
        run.train()


def test_the_general_loss_trains(tmp_path: Path) -> None:
    run = trainer(tmp_path, objective=General(lambda old, new: -(1 + old) * new))
    run.train()
    assert all(math.isfinite(row["loss"]) for row in read_jsonl(tmp_path / "metrics.jsonl"))


def test_siblings_of_an_objective_that_needs_nothing() -> None:
    pool = PoolView("q", "q", ("a",), torch.ones(1, 1), torch.zeros(1, dtype=torch.bool), 0)
    assert len(pool) == 1
    with pytest.raises(ConfigError, match="'labels' in weights_need"):
        _ = pool.correct_K


# A preference data set.


def preference_rows(**changes) -> list[dict]:
    return [
        {"id": str(n), "prompt": chat, "chosen": "12", "rejected": "1 3", **changes}
        for n, chat in enumerate(CHATS)
    ]


def preferring(folder: Path, rows: list[dict], **changes) -> RLSCTrainer:
    settings = {"objective": "dpo", "dpo_pairs": "given", "num_generations": 2} | changes
    return RLSCTrainer(
        model=tiny_model(),
        args=config(folder, **settings),
        train_dataset=rows,
        processing_class=tiny_tokenizer(),
    )


def test_a_preference_data_set_is_learnt(tmp_path: Path) -> None:
    run = preferring(tmp_path, preference_rows())
    run.train()
    rows = [read_jsonl(tmp_path / "completions" / f"{step}.jsonl") for step in (0, 3)]
    margins = [
        sum(a["logprob"] - b["logprob"] for a, b in zip(one[::2], one[1::2], strict=True))
        for one in rows
    ]
    assert margins[1] > margins[0]
    assert [row["text"] for row in rows[0][:2]] == ["12", "1 3"]
    assert [row["weight"] > 0 for row in rows[0][:2]] == [True, False]


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (preference_rows(chosen=None), {}, "has no 'chosen'"),
        (preference_rows(rejected="1" * 50), {}, "its 'rejected' has"),
        (preference_rows(), {"num_generations": 4}, "num_generations 2"),
        (preference_rows(), {"objective": "rlsc"}, "objective dpo"),
    ],
    ids=["none", "long", "four", "rlsc"],
)
def test_preferences_that_do_not_fit(
    rows: list[dict], changes: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises((ConfigError, QuestionError), match=message):
        preferring(tmp_path, rows, **changes)
