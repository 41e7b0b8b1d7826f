#!/bin/sh
# The whole job with curl alone: init, upload (zstd), status, results, download,
# a range of a part, and a URL that was tampered with.
set -eu
cd "$WORK"
api() { curl -sS --fail-with-body -H "X-API-Key: $KEY" "$@"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

made=$(api -d '{"provider":"openai","model":"gpt-4o-mini"}' "$URL/v1/jobs/init")
id=$(printf %s "$made" | field job_id)
upload=$(printf %s "$made" | field upload_url)

zstd -q -f "$PROMPTS" -o prompts.zst
code=$(curl -sS -o refused -w '%{http_code}' -T prompts.zst -H 'Content-Encoding: zstd' "${upload}0")
[ "$code" = 403 ] || { echo "a tampered upload URL: $code $(cat refused)"; exit 1; }
curl -sS --fail-with-body -T prompts.zst -H 'Content-Encoding: zstd' "$upload" >/dev/null

while :; do
	status=$(api "$URL/v1/jobs/$id/status" | field status)
	case $status in COMPLETED) break ;; FAILED | CANCELLED) echo "$status"; exit 1 ;; esac
	sleep 0.2
done

api "$URL/v1/jobs/$id/results" | tr '{' '\n' | grep '"filename"' >files
while read -r line; do
	name=$(printf %s "$line" | field filename)
	url=$(printf %s "$line" | field url)
	curl -sS --fail-with-body -o "$name" "$url"
	curl -sSI --fail "$url" | grep -qi "^content-length: $(wc -c <"$name" | tr -d ' ')" || { echo "HEAD tells another length of $name"; exit 1; }
done <files

first=$(head -n 1 files | field url)
curl -sS --fail-with-body -r 10-29 -o range "$first"
head -c 30 results_part_001.jsonl | tail -c 20 | cmp - range
code=$(curl -sS -o refused -w '%{http_code}' "$(printf %s "$first" | sed 's/expires=[0-9]/&9/')")
[ "$code" = 403 ] || { echo "a tampered download URL: $code $(cat refused)"; exit 1; }
echo "$id"
