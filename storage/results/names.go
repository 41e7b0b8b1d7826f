package results

import (
	"fmt"
	"strconv"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// ErrorsName is the file of all error records of a job.
const ErrorsName = "errors.jsonl"

// FileNames lists a job's public files: results_part_001.jsonl and so on, in
// order, as many as its results so far need, and errors.jsonl, always and
// last. Numbers have the digits of prompt_count ÷ 5,000 rounded up, at least
// three, so a listed name never changes.
func FileNames(j *job.Job) []string {
	n := fileCount(j.CompletedCount)
	names := make([]string, 0, n+1)
	for k := int64(1); k <= n; k++ {
		names = append(names, fileName(j, k))
	}
	return append(names, ErrorsName)
}

// fileCount is how many public files hold n results.
func fileCount(n int64) int64 { return (n + storage.ResultsPerFile - 1) / storage.ResultsPerFile }

func fileName(j *job.Job, k int64) string {
	digits := max(3, len(strconv.FormatInt(fileCount(j.PromptCount), 10)))
	return fmt.Sprintf("results_part_%0*d.jsonl", digits, k)
}

// fileNumber finds the number of a listed name: 0 for errors.jsonl, and ok is
// false for a name that is not listed.
func fileNumber(j *job.Job, name string) (k int64, ok bool) {
	if name == ErrorsName {
		return 0, true
	}
	if _, err := fmt.Sscanf(name, "results_part_%d.jsonl", &k); err != nil {
		return 0, false
	}
	return k, k >= 1 && k <= fileCount(j.CompletedCount) && name == fileName(j, k)
}
