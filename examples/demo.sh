#!/bin/sh
# A tour of PromptForge that costs nothing: a stand-in for an LLM provider, a
# server, a job of 320 prompts, its answers, and a check that every prompt got
# its own. It needs Go and make, and takes about 15 seconds once it is built.
#
#   make demo                       the prompts in examples/prompts.jsonl
#   make demo PROMPTS=FILE          another file
#   OUT=DIR examples/demo.sh        the answers somewhere else than demo-results
set -eu

here=$(cd "$(dirname "$0")" && pwd)
prompts=${PROMPTS:-$here/prompts.jsonl}
out=${OUT:-${here%/*}/demo-results}
case $prompts in /*) ;; *) prompts=$PWD/$prompts ;; esac
case $out in /*) ;; *) out=$PWD/$out ;; esac
cd "$here/.."

[ -f "$prompts" ] || { echo "There is no file $prompts." >&2; exit 1; }

# What is set for a real server is not meant for this one.
for name in $(env | sed -n 's/^\(PROMPTFORGE_[A-Z_]*\)=.*/\1/p'); do
	unset "$name"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/promptforge-demo.XXXXXX")
simulator=''
server=''

cleanup() {
	status=$?
	trap - EXIT
	for pid in $server $simulator; do
		kill "$pid" 2>/dev/null || :
	done
	for pid in $server $simulator; do
		wait "$pid" 2>/dev/null || :
	done
	if [ "$status" -ne 0 ] && [ -s "$work/server.log" ]; then
		echo "The demo failed. The end of the server's log:" >&2
		tail -n 20 "$work/server.log" >&2
	fi
	rm -rf "$work"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say() { printf '\n== %s\n' "$*"; }

# url PIPE reads the one line that a program prints when it listens, and finds
# its URL. A program that fails closes the pipe, so this never hangs.
url() {
	line=''
	read -r line <"$1" || :
	line=${line#*url=}
	printf '%s' "${line%% *}"
}

say "Building bin/promptforge"
make --no-print-directory -s build # the same binary as ever, version and all
"${GO:-go}" build -o "$work/check" ./examples/check
pf=bin/promptforge

say "Starting a stand-in for OpenAI: 300 ms an answer, 1,800 requests a minute, 2 % of them fail"
mkfifo "$work/simulator" "$work/server"
"$pf" simulate --addr 127.0.0.1:0 --latency 300ms --jitter --rpm 1800 --errors 0.02 --seed 7 \
	>"$work/simulator" 2>"$work/simulator.log" &
simulator=$!
provider=$(url "$work/simulator")
[ -n "$provider" ] || { cat "$work/simulator.log" >&2; exit 1; }
echo "It listens on $provider."

say "Starting the server"
OPENAI_BASE_URL=$provider/v1 OPENAI_API_KEY=demo \
	"$pf" serve --data-dir "$work/data" --http-addr 127.0.0.1:0 --grpc-addr 127.0.0.1:0 \
	>"$work/server" 2>"$work/server.log" &
server=$!
PROMPTFORGE_URL=$(url "$work/server")
export PROMPTFORGE_URL
[ -n "$PROMPTFORGE_URL" ] || exit 1
echo "It listens on $PROMPTFORGE_URL."

say "promptforge keys create demo"
PROMPTFORGE_API_KEY=$("$pf" keys create demo --data-dir "$work/data" 2>/dev/null | tail -n 1)
export PROMPTFORGE_API_KEY
echo "The key is in PROMPTFORGE_API_KEY now."

say "promptforge jobs submit ${prompts##*/} --provider openai --model gpt-4o-mini"
job=$("$pf" jobs submit "$prompts" --provider openai --model gpt-4o-mini 2>"$work/said") || {
	cat "$work/said" >&2
	exit 1
}
echo "$job"

say "promptforge jobs watch $job"
"$pf" jobs watch "$job"

say "promptforge jobs results $job --out ${out##*/}"
mkdir -p "$out"
rm -f "$out"/results_part_*.jsonl "$out"/errors.jsonl
"$pf" jobs results "$job" --out "$out"

say "Does every prompt have exactly one record, with its own answer?"
"$work/check" "$prompts" "$out" --answered-by-simulator

if [ -s "$out/errors.jsonl" ]; then
	say "The first lines of errors.jsonl"
	head -n 3 "$out/errors.jsonl"
fi

folder=$(cd "$out" && pwd)
cat <<END

The answers are in $folder.

What to try next:
  bin/promptforge                                  a short tour of the commands
  bin/promptforge simulate --rpm 600               the stand-in, to play with in a terminal of its own
  OPENAI_BASE_URL=http://127.0.0.1:8089/v1 OPENAI_API_KEY=any \\
    bin/promptforge run examples/prompts.jsonl --provider openai --model gpt-4o-mini
                                                   a whole job without a server; stop it with ctrl-C
                                                   or kill -9, run it again, and it goes on
  make demo PROMPTS=examples/broken.jsonl          what becomes of lines that cannot be used
END
