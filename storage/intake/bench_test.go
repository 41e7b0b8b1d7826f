package intake_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/intake"
)

func BenchmarkRead(b *testing.B) {
	var body bytes.Buffer
	const n = 100_000
	words := strings.Fields("the quick brown fox jumps over a lazy dog while seven wise men count every star in quiet northern skies")
	x := uint32(1)
	for i := range n {
		fmt.Fprintf(&body, `{"prompt_id": "prompt-%07d", "prompt": "`, i)
		for body.Len() < (i+1)*250-4 {
			x = x*1664525 + 1013904223
			body.WriteString(words[x>>16%uint32(len(words))%uint32(len(words))])
			body.WriteByte(' ')
		}
		body.WriteString("\"}\n")
	}
	fs, err := files.OpenFolder(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		u, err := intake.Read(context.Background(), fs, job.NewID(), bytes.NewReader(body.Bytes()), intake.Limits{})
		if err != nil || u.Prompts.Usable != n {
			b.Fatal(u, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
